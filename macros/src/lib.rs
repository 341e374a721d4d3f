//! Under construction.
use proc_macro::TokenStream;

/// Derives `Job`.
#[proc_macro_derive(Job, attributes(job))]
pub fn derive_job(_: TokenStream) -> TokenStream {
    TokenStream::new()
}
