//! As much of HTTP/1 as a probe needs: the request line of a request without a body, and an answer after which the connection ends.
//! Pure: bytes in, bytes out.

use std::fmt::Write;

/// The longest head of a request that is read.
pub(super) const LONGEST_HEAD: usize = 8 * 1024;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Live,
    Ready,
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed,
    NotFound,
    NotAllowed,
    TooLong,
}

/// Whether all of a request's head is there.
pub(super) fn is_complete(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n")
}

/// Reads the request line; what else is in the head does not matter here.
pub(super) fn asked(head: &[u8]) -> Result<Asked, Refusal> {
    if !is_complete(head) {
        return Err(if head.len() < LONGEST_HEAD {
            Refusal::Malformed
        } else {
            Refusal::TooLong
        });
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Refusal::Malformed)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed);
    };
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_method || !target.starts_with('/') || !version.starts_with("HTTP/1.") {
        return Err(Refusal::Malformed);
    }
    let path = target.split('?').next().unwrap_or_default();
    let asked = match path {
        "/live" => Asked::Live,
        "/ready" => Asked::Ready,
        _ => return Err(Refusal::NotFound),
    };
    if method == "GET" {
        Ok(asked)
    } else {
        Err(Refusal::NotAllowed)
    }
}

/// The answer to a probe.
pub(super) fn told(good: bool, line: &str) -> Vec<u8> {
    answer(if good { "200 OK" } else { "503 Service Unavailable" }, "", line)
}

/// The answer to anything else.
pub(super) fn refused(refusal: Refusal) -> Vec<u8> {
    match refusal {
        Refusal::Malformed => answer("400 Bad Request", "", "this is no HTTP/1 request"),
        Refusal::NotFound => answer("404 Not Found", "", "there are /live and /ready"),
        Refusal::NotAllowed => answer(
            "405 Method Not Allowed",
            "allow: GET\r\n",
            "GET is all that is answered",
        ),
        Refusal::TooLong => answer("431 Request Header Fields Too Large", "", "the request is too long"),
    }
}

fn answer(status: &str, header: &str, line: &str) -> Vec<u8> {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         connection: close\r\n{header}\r\n{line}\n",
        line.len() + 1
    );
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_answer() {
        let long = format!("GET /live HTTP/1.1\r\nx: {}", "x".repeat(LONGEST_HEAD));
        let cases: [(&str, Result<Asked, Refusal>); 17] = [
            ("GET /live HTTP/1.1\r\nhost: a\r\n\r\n", Ok(Asked::Live)),
            ("GET /ready HTTP/1.0\r\n\r\n", Ok(Asked::Ready)),
            ("GET /ready?verbose HTTP/1.1\r\n\r\nbody", Ok(Asked::Ready)),
            ("GET / HTTP/1.1\r\n\r\n", Err(Refusal::NotFound)),
            ("GET /ready/ HTTP/1.1\r\n\r\n", Err(Refusal::NotFound)),
            ("POST /nothing HTTP/1.1\r\n\r\n", Err(Refusal::NotFound)),
            ("POST /live HTTP/1.1\r\n\r\n", Err(Refusal::NotAllowed)),
            ("HEAD /ready HTTP/1.1\r\n\r\n", Err(Refusal::NotAllowed)),
            ("GET /live HTTP/2.0\r\n\r\n", Err(Refusal::Malformed)),
            ("GET  /live HTTP/1.1\r\n\r\n", Err(Refusal::Malformed)),
            ("GET live HTTP/1.1\r\n\r\n", Err(Refusal::Malformed)),
            ("get /live HTTP/1.1\r\n\r\n", Err(Refusal::Malformed)),
            ("GET /live\r\n\r\n", Err(Refusal::Malformed)),
            ("\r\n\r\n", Err(Refusal::Malformed)),
            ("GET /live HTTP/1.1\r\n", Err(Refusal::Malformed)),
            ("", Err(Refusal::Malformed)),
            (&long, Err(Refusal::TooLong)),
        ];
        for (head, expected) in cases {
            assert_eq!(asked(head.as_bytes()), expected, "{head:.80}");
        }
        assert_eq!(asked(b"GET /\xff HTTP/1.1\r\n\r\n"), Err(Refusal::Malformed));
    }

    #[test]
    fn an_answer_says_how_long_it_is_and_that_it_is_the_last() {
        let text = String::from_utf8(told(false, "not ready; mail: starting")).expect("text");
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
        assert!(
            text.contains("\r\ncontent-length: 26\r\n") && text.contains("\r\nconnection: close\r\n"),
            "{text}"
        );
        assert!(text.ends_with("\r\n\r\nnot ready; mail: starting\n"), "{text}");
        assert!(
            String::from_utf8(refused(Refusal::NotAllowed))
                .expect("text")
                .contains("\r\nallow: GET\r\n")
        );
    }
}
