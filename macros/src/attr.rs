//! Parse: `#[job(…)]` as it was written.

use proc_macro2::{Ident, TokenTree};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Attribute, Expr, LitStr, Meta, Path, Token};

use crate::errors::Errors;

/// What the attributes set, not yet checked.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) name: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) queue: Option<Expr>,
    pub(crate) max_attempts: Option<Expr>,
    pub(crate) backoff: Option<Expr>,
    pub(crate) timeout: Option<LitStr>,
    pub(crate) expires_in: Option<LitStr>,
    pub(crate) krate: Option<Path>,
    /// The keys met, also those whose value is wrong.
    seen: Vec<Key>,
    /// Whether something could not be read that may have been meant as any key.
    has_unread: bool,
}

/// A key of `#[job(…)]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Queue,
    Name,
    Alias,
    MaxAttempts,
    Backoff,
    Timeout,
    ExpiresIn,
    Crate,
}

impl Key {
    const ALL: [Key; 8] = [
        Key::Queue,
        Key::Name,
        Key::Alias,
        Key::MaxAttempts,
        Key::Backoff,
        Key::Timeout,
        Key::ExpiresIn,
        Key::Crate,
    ];

    fn text(self) -> &'static str {
        match self {
            Key::Queue => "queue",
            Key::Name => "name",
            Key::Alias => "alias",
            Key::MaxAttempts => "max_attempts",
            Key::Backoff => "backoff",
            Key::Timeout => "timeout",
            Key::ExpiresIn => "expires_in",
            Key::Crate => "crate",
        }
    }

    /// What a value of the key is, with an example; the second half of most messages.
    pub(crate) fn usage(self) -> &'static str {
        match self {
            Key::Queue => "`queue` takes a constant of type `Queue` or a text: `queue = MAIL`, `queue = \"mail\"`",
            Key::Name => "`name` takes a text: `name = \"send_welcome\"`",
            Key::Alias => "`alias` takes a text: `alias = \"old_name\"`; repeat the key for more than one",
            Key::MaxAttempts => "`max_attempts` takes a whole number from 1 to 4294967295: `max_attempts = 8`",
            Key::Backoff => {
                "`backoff` takes a constant of type `Backoff`: `backoff = Backoff::exponential(\"1s\", \"10m\")`"
            }
            Key::Timeout => {
                "`timeout` takes a text, a whole number with a unit of ms, s, m, h or d: `timeout = \"30s\"`"
            }
            Key::ExpiresIn => {
                "`expires_in` takes a text, a whole number with a unit of ms, s, m, h or d: `expires_in = \"10m\"`"
            }
            Key::Crate => "`crate` takes a path without quotes: `crate = leveret_worker::leveret`",
        }
    }

    fn read(input: ParseStream<'_>) -> syn::Result<(Self, Ident)> {
        let start = input.span();
        let Ok(ident) = input.call(Ident::parse_any) else {
            return Err(syn::Error::new(start, format!("expected a key; {}", Self::list())));
        };
        match Self::ALL.into_iter().find(|key| ident == key.text()) {
            Some(key) => Ok((key, ident)),
            None => Err(syn::Error::new(
                start,
                format!("unknown key `{ident}`; {}", Self::list()),
            )),
        }
    }

    fn list() -> String {
        let keys: Vec<_> = Self::ALL.iter().map(|key| format!("`{}`", key.text())).collect();
        format!("the keys are {}", keys.join(", "))
    }
}

/// Reads every `#[job(…)]` among the attributes.
pub(crate) fn parse(attributes: &[Attribute], errors: &mut Errors) -> Settings {
    let mut settings = Settings::default();
    for attribute in attributes.iter().filter(|attribute| is_job(attribute)) {
        let Meta::List(list) = &attribute.meta else {
            errors.at(
                &attribute.meta,
                "the settings go in parentheses: `#[job(queue = \"mail\")]`",
            );
            settings.has_unread = true;
            continue;
        };
        let parsed = list.parse_args_with(|input: ParseStream<'_>| {
            settings.read(input, errors);
            Ok(())
        });
        if let Err(error) = parsed {
            errors.push(error);
        }
    }
    settings
}

/// Whether an attribute is ours.
pub(crate) fn is_job(attribute: &Attribute) -> bool {
    attribute.path().is_ident("job")
}

impl Settings {
    /// Whether the key was meant to be set, as far as can be told. Then it is not also reported as missing.
    pub(crate) fn means_to_set(&self, key: Key) -> bool {
        self.has_unread || self.seen.contains(&key)
    }

    /// Reads `key = value, …` to the end. After a mistake it goes on behind the next comma.
    fn read(&mut self, input: ParseStream<'_>, errors: &mut Errors) {
        while !input.is_empty() {
            if let Err(error) = self.read_one(input).and_then(|()| comma_or_end(input)) {
                errors.push(error);
                skip_to_comma(input);
            }
        }
    }

    fn read_one(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let (key, ident) = Key::read(input).inspect_err(|_| self.has_unread = true)?;
        let is_repeated = self.seen.contains(&key) && key != Key::Alias;
        self.seen.push(key);
        if !input.peek(Token![=]) {
            return Err(syn::Error::new_spanned(&ident, key.usage()));
        }
        input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(syn::Error::new_spanned(&ident, key.usage()));
        }
        self.read_value(key, input)?;
        if is_repeated {
            return Err(syn::Error::new_spanned(&ident, format!("`{ident}` is set twice")));
        }
        Ok(())
    }

    fn read_value(&mut self, key: Key, input: ParseStream<'_>) -> syn::Result<()> {
        match key {
            Key::Queue => self.queue = Some(expression(key, input)?),
            Key::Name => self.name = Some(text(key, input)?),
            Key::Alias => self.aliases.push(text(key, input)?),
            Key::MaxAttempts => self.max_attempts = Some(expression(key, input)?),
            Key::Backoff => self.backoff = Some(expression(key, input)?),
            Key::Timeout => self.timeout = Some(text(key, input)?),
            Key::ExpiresIn => self.expires_in = Some(text(key, input)?),
            Key::Crate => self.krate = Some(path(input)?),
        }
        Ok(())
    }
}

/// A value, free of the invisible groups that `macro_rules` puts around what it passes on.
fn expression(key: Key, input: ParseStream<'_>) -> syn::Result<Expr> {
    let start = input.span();
    let mut value = input
        .parse::<Expr>()
        .map_err(|_| syn::Error::new(start, format!("{}; put anything longer into a `const`", key.usage())))?;
    while let Expr::Group(group) = value {
        value = *group.expr;
    }
    Ok(value)
}

fn text(key: Key, input: ParseStream<'_>) -> syn::Result<LitStr> {
    match expression(key, input)? {
        Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(text),
            ..
        }) => Ok(text),
        other => Err(syn::Error::new_spanned(other, key.usage())),
    }
}

fn path(input: ParseStream<'_>) -> syn::Result<Path> {
    let start = input.span();
    let path = input.call(Path::parse_mod_style);
    path.map_err(|_| syn::Error::new(start, Key::Crate.usage()))
}

fn comma_or_end(input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() {
        return Ok(());
    }
    input.parse::<Token![,]>().map(|_| ())
}

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() {
        let at_comma = input.peek(Token![,]);
        if input.parse::<TokenTree>().is_err() || at_comma {
            return;
        }
    }
}
