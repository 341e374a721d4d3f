//! What a process has used.

/// The most memory that a process has held at a time, in KiB, or `None` once it is gone.
pub fn peak_memory_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// [`peak_memory_of`] this process; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    peak_memory_of(std::process::id()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_has_used_some_memory_and_one_that_is_not_there_none() {
        assert!(super::peak_memory() > 100);
        assert_eq!(super::peak_memory_of(0), None);
    }
}
