//! `#[debug_handler]`: leaves a function as it is, and has each of its parts checked on its own, so that the compiler's error points at
//! the part that is wrong.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, GenericParam, ItemFn, ReturnType, Signature, Type};

use crate::errors::Errors;

/// What a handler may take after its job.
const MAX_EXTRACTORS: usize = 8;

/// How the worker runs it: as `#[debug_handler]` or `#[debug_handler(blocking)]` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Async,
    Blocking,
}

/// The whole attribute: parse, check the shape, expand. The function comes out whatever is wrong with it.
pub(crate) fn debug_handler(arguments: TokenStream, input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let kind = kind(arguments, &mut errors);
    let checks = match syn::parse2::<ItemFn>(input.clone()) {
        Ok(function) => {
            check_shape(&function.sig, kind, &mut errors);
            errors.is_empty().then(|| checks(&function.sig, kind))
        }
        Err(error) => {
            let text = "`#[debug_handler]` stands on a function; a type is checked where it implements `Handler`";
            errors.push(syn::Error::new(error.span(), text));
            None
        }
    };
    let errors = errors.to_compile_errors();
    quote!(#input #errors #checks)
}

fn kind(arguments: TokenStream, errors: &mut Errors) -> Kind {
    if arguments.is_empty() {
        return Kind::Async;
    }
    match syn::parse2::<Ident>(arguments.clone()) {
        Ok(word) if word == "blocking" => Kind::Blocking,
        _ => {
            errors.at(
                arguments,
                "write `#[debug_handler]`, or `#[debug_handler(blocking)]` for `register_blocking`",
            );
            Kind::Async
        }
    }
}

fn check_shape(signature: &Signature, kind: Kind, errors: &mut Errors) {
    match (kind, signature.asyncness) {
        (Kind::Async, None) if !returns_impl(signature) => errors.at(
            signature.fn_token,
            "a handler is an `async fn`; for one that blocks use `register_blocking` and `#[debug_handler(blocking)]`",
        ),
        (Kind::Blocking, Some(asyncness)) => errors.at(
            asyncness,
            "a blocking handler is not async: use `register` and `#[debug_handler]`",
        ),
        _ => {}
    }
    let is_lifetime = |parameter: &GenericParam| matches!(parameter, GenericParam::Lifetime(_));
    if let Some(parameter) = signature.generics.params.iter().find(|one| !is_lifetime(one)) {
        errors.at(
            parameter,
            "a handler has no generic parameters: it is one function for one job",
        );
    }
    if let Some(receiver) = signature.receiver() {
        errors.at(
            receiver,
            "a handler is a free function; a type with state implements `Handler`",
        );
    }
    if signature.inputs.is_empty() {
        errors.at(&signature.ident, "a handler takes its job as its first argument");
    }
    if let Some(surplus) = signature.inputs.iter().nth(MAX_EXTRACTORS + 1) {
        errors.at(
            surplus,
            "a handler takes at most eight arguments after its job: put some into one type that implements `FromContext`",
        );
    }
}

/// One statement for each part, spanned as the part.
fn checks(signature: &Signature, kind: Kind) -> TokenStream {
    let types: Vec<&Type> = signature.inputs.iter().filter_map(type_of).collect();
    let parts = types.iter().enumerate().map(|(at, kind)| match at {
        0 => quote_spanned!(kind.span()=> ::leveret_worker::check::job::<#kind>();),
        _ => quote_spanned!(kind.span()=> ::leveret_worker::check::extractor::<#kind>();),
    });
    let outcome = match &signature.output {
        ReturnType::Type(_, output) if !returns_impl(signature) => {
            Some(quote_spanned!(output.span()=> ::leveret_worker::check::outcome::<#output>();))
        }
        _ => None,
    };
    let future = (kind == Kind::Async).then(|| future(&signature.ident, types.len()));
    quote! {
        const _: () = {
            #[allow(dead_code, deprecated)]
            fn check() {
                #(#parts)*
                #outcome
                #future
            }
        };
    }
}

/// What the function returns must be able to move between threads. It is never called here.
fn future(function: &Ident, arguments: usize) -> TokenStream {
    let types: Vec<Ident> = (0..arguments).map(|at| format_ident!("A{at}")).collect();
    let call = quote_spanned!(function.span()=> its_future_is_send(#function););
    quote! {
        fn its_future_is_send<#(#types,)* F>(_: impl ::core::ops::Fn(#(#types),*) -> F)
        where
            F: ::core::future::Future + ::core::marker::Send,
        {
        }
        #call
    }
}

fn type_of(argument: &FnArg) -> Option<&Type> {
    match argument {
        FnArg::Typed(argument) => Some(&argument.ty),
        FnArg::Receiver(_) => None,
    }
}

/// `-> impl Future<…>` is a handler too; what it resolves to cannot be named.
fn returns_impl(signature: &Signature) -> bool {
    match &signature.output {
        ReturnType::Type(_, output) => output.to_token_stream().to_string().starts_with("impl "),
        ReturnType::Default => false,
    }
}
