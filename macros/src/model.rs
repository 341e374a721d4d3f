//! Model: a job as the type and its settings describe it. What has the wrong shape is refused here.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::{Attribute, Data, DeriveInput, Expr, ExprLit, Lit, LitInt, LitStr, UnOp, Variant};

use crate::attr::{Key, Settings, is_job};
use crate::errors::Errors;
use crate::snake::snake_case;

/// A job, ready to be checked and written out.
pub(crate) struct Model {
    /// The type's name.
    pub(crate) ident: Ident,
    /// The name on the wire; made from the type's unless set.
    pub(crate) name: LitStr,
    pub(crate) aliases: Vec<LitStr>,
    /// `None` only where a mistake has been noted.
    pub(crate) queue: Option<QueueSource>,
    pub(crate) max_attempts: Option<Attempts>,
    pub(crate) backoff: Option<Expr>,
    pub(crate) timeout: Option<LitStr>,
    pub(crate) expires_in: Option<LitStr>,
}

/// Where the queue comes from.
pub(crate) enum QueueSource {
    /// A text that names a queue with the default settings.
    Named(LitStr),
    /// An expression of type `Queue`.
    Defined(Expr),
}

/// Where the number of attempts comes from.
pub(crate) enum Attempts {
    /// A number, checked here.
    Literal(LitInt),
    /// An expression of type `u32`, checked by the compiler.
    Computed(Expr),
}

impl Model {
    pub(crate) fn new(input: &DeriveInput, settings: Settings, errors: &mut Errors) -> Self {
        refuse_type(input, errors);
        refuse_inner_attributes(&input.data, errors);
        if !settings.means_to_set(Key::Queue) {
            errors.at(
                &input.ident,
                "a job needs a queue: put `#[job(queue = \"mail\")]`, or a constant such as `#[job(queue = MAIL)]`, on the type",
            );
        }
        Self {
            ident: input.ident.clone(),
            name: settings.name.unwrap_or_else(|| default_name(&input.ident)),
            aliases: settings.aliases,
            queue: settings.queue.and_then(|value| queue(value, errors)),
            max_attempts: settings.max_attempts.and_then(|value| attempts(value, errors)),
            backoff: settings.backoff.and_then(|value| backoff(value, errors)),
            timeout: settings.timeout,
            expires_in: settings.expires_in,
        }
    }
}

/// Whether a job can be made of the type at all. The fallback `impl` asks as well.
pub(crate) fn is_plain(input: &DeriveInput) -> bool {
    !matches!(input.data, Data::Union(_)) && input.generics.params.is_empty() && input.generics.where_clause.is_none()
}

fn refuse_type(input: &DeriveInput, errors: &mut Errors) {
    if let Data::Union(union) = &input.data {
        errors.at(union.union_token, "a job is a struct or an enum, not a union");
    }
    if !input.generics.params.is_empty() {
        errors.at(
            &input.generics.params,
            "a job has no generic parameters: one job is one name and one layout on the wire; derive `Job` for a concrete type that owns what it holds",
        );
    }
    if let Some(clause) = &input.generics.where_clause {
        errors.at(
            clause.where_token,
            "a job has no `where` clause, as it has no generic parameters",
        );
    }
}

/// `#[job(…)]` on a field or a variant would otherwise be ignored silently.
fn refuse_inner_attributes(data: &Data, errors: &mut Errors) {
    let attributes: Vec<&Attribute> = match data {
        Data::Struct(data) => data.fields.iter().flat_map(|field| &field.attrs).collect(),
        Data::Union(data) => data.fields.named.iter().flat_map(|field| &field.attrs).collect(),
        Data::Enum(data) => data.variants.iter().flat_map(attributes_in).collect(),
    };
    for attribute in attributes.into_iter().filter(|attribute| is_job(attribute)) {
        errors.at(attribute, "`#[job(…)]` belongs on the type, not on its parts");
    }
}

fn attributes_in(variant: &Variant) -> impl Iterator<Item = &Attribute> {
    let of_fields = variant.fields.iter().flat_map(|field| &field.attrs);
    variant.attrs.iter().chain(of_fields)
}

fn default_name(ident: &Ident) -> LitStr {
    LitStr::new(&snake_case(&ident.unraw().to_string()), ident.span())
}

fn queue(value: Expr, errors: &mut Errors) -> Option<QueueSource> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(name), ..
        }) => Some(QueueSource::Named(name)),
        Expr::Lit(_) => refuse(Key::Queue, &value, errors),
        _ => Some(QueueSource::Defined(value)),
    }
}

fn attempts(value: Expr, errors: &mut Errors) -> Option<Attempts> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number), ..
        }) => Some(Attempts::Literal(number)),
        Expr::Lit(_) => refuse(Key::MaxAttempts, &value, errors),
        Expr::Unary(ref unary) if matches!(unary.op, UnOp::Neg(_)) => refuse(Key::MaxAttempts, &value, errors),
        _ => Some(Attempts::Computed(value)),
    }
}

fn backoff(value: Expr, errors: &mut Errors) -> Option<Expr> {
    match value {
        Expr::Lit(_) => refuse(Key::Backoff, &value, errors),
        _ => Some(value),
    }
}

fn refuse<T>(key: Key, value: &Expr, errors: &mut Errors) -> Option<T> {
    errors.at(value, key.usage());
    None
}
