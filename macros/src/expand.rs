//! Expand: the `impl`, with absolute paths only. What the user wrote keeps its place, so that the compiler's own errors about it
//! point there.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, DeriveInput, LitStr, Path, parse_quote};

use crate::attr;
use crate::check::{check, millis};
use crate::errors::Errors;
use crate::model::{Attempts, Model, QueueSource, is_plain};

/// The whole derive: parse, model, check, expand.
pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let mut settings = attr::parse(&input.attrs, &mut errors);
    let krate = settings.krate.take().unwrap_or_else(|| parse_quote!(::leveret));
    let model = Model::new(input, settings, &mut errors);
    check(&model, &mut errors);
    if errors.is_empty() {
        return allowing_deprecated(input, implementation(&model, &krate));
    }
    let errors = errors.to_compile_errors();
    let fallback = is_plain(input).then(|| allowing_deprecated(input, fallback(&model, &krate)));
    quote!(#errors #fallback)
}

fn implementation(model: &Model, krate: &Path) -> TokenStream {
    let Model {
        ident, name, aliases, ..
    } = model;
    let queue = match &model.queue {
        Some(QueueSource::Named(name)) => quote!(#krate::Queue::new(#name)),
        Some(QueueSource::Defined(queue)) => quote!(#queue),
        // A model without a queue has an error, and is not written out.
        None => TokenStream::new(),
    };
    let aliases = (!aliases.is_empty())
        .then(|| quote!(const ALIASES: &'static [&'static ::core::primitive::str] = &[#(#aliases),*];));
    let retry = retry(model, krate);
    let evaluated = evaluated(model, krate);
    let times = [("TIMEOUT", &model.timeout), ("EXPIRES_IN", &model.expires_in)].map(time);
    quote! {
        #[automatically_derived]
        impl #krate::Job for #ident {
            const NAME: &'static ::core::primitive::str = #name;
            #aliases
            const QUEUE: #krate::Queue = #queue;
            #retry
            #(#times)*
        }
        #evaluated
    }
}

/// A constant of the trait that is a time, if it is set.
fn time((constant, text): (&str, &Option<LitStr>)) -> Option<TokenStream> {
    let millis = millis(&text.as_ref()?.value())?;
    let constant = Ident::new(constant, Span::call_site());
    Some(quote! {
        const #constant: ::core::option::Option<::core::time::Duration> =
            ::core::option::Option::Some(::core::time::Duration::from_millis(#millis));
    })
}

/// The compiler evaluates a constant of an `impl` only where it is used. These uses make a mistake in what the user computes an
/// error right here, in `cargo check` as well.
fn evaluated(model: &Model, krate: &Path) -> TokenStream {
    let ident = &model.ident;
    let queue = matches!(model.queue, Some(QueueSource::Defined(_)))
        .then(|| quote!(const _: #krate::Queue = <#ident as #krate::Job>::QUEUE;));
    let retry = (model.max_attempts.is_some() || model.backoff.is_some())
        .then(|| quote!(const _: #krate::RetryPolicy = <#ident as #krate::Job>::RETRY;));
    quote!(#queue #retry)
}

/// A name for a local in the expansion: no user's expression sees it, no user's constant has its name.
fn local(name: &str) -> Ident {
    Ident::new(&format!("__leveret_{name}"), Span::mixed_site())
}

/// Attempts and backoff; whichever is not set comes from the default policy.
fn retry(model: &Model, krate: &Path) -> Option<TokenStream> {
    if model.max_attempts.is_none() && model.backoff.is_none() {
        return None;
    }
    let attempts = match &model.max_attempts {
        Some(Attempts::Literal(number)) => quote!(#number),
        Some(Attempts::Computed(number)) => positive(number),
        None => quote!(#krate::RetryPolicy::DEFAULT.max_attempts()),
    };
    let backoff = match &model.backoff {
        Some(backoff) => quote!(#backoff),
        None => quote!(#krate::RetryPolicy::DEFAULT.backoff()),
    };
    // Typed locals: a value of the wrong type is an error at that value, not a story about `RetryPolicy::new`.
    let (max_attempts, pauses) = (local("max_attempts"), local("pauses"));
    Some(quote! {
        const RETRY: #krate::RetryPolicy = {
            let #max_attempts: ::core::primitive::u32 = #attempts;
            let #pauses: #krate::Backoff = #backoff;
            #krate::RetryPolicy::new(#max_attempts, #pauses)
        };
    })
}

/// A computed number of attempts that does not compile as 0.
fn positive(number: &syn::Expr) -> TokenStream {
    let computed = local("computed");
    let assertion = quote_spanned! {number.span()=>
        ::core::assert!(#computed > 0, "`max_attempts` counts the first run, so it is at least 1");
    };
    quote!({
        let #computed: ::core::primitive::u32 = #number;
        #assertion
        #computed
    })
}

/// After a mistake: just enough that the rest of the program does not report the type as no job.
fn fallback(model: &Model, krate: &Path) -> TokenStream {
    let ident = &model.ident;
    quote! {
        #[automatically_derived]
        impl #krate::Job for #ident {
            const NAME: &'static ::core::primitive::str = "invalid";
            const QUEUE: #krate::Queue = #krate::Queue::new("invalid");
        }
    }
}

/// A job type that is being retired may be `#[deprecated]` without a warning from what is written here.
fn allowing_deprecated(input: &DeriveInput, items: TokenStream) -> TokenStream {
    let is_deprecated = |attribute: &Attribute| attribute.path().is_ident("deprecated");
    if input.attrs.iter().any(is_deprecated) {
        quote!(#[allow(deprecated)] const _: () = { #items };)
    } else {
        items
    }
}
