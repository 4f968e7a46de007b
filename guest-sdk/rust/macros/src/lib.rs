//! `#[derive(State)]`: the channels of a graph from a struct's fields, and typed setters for its updates.
//!
//! What it writes is ordinary code: `impl State for Chat` with a table of the channels, and a trait `ChatUpdate`
//! with one setter per field, implemented for `Update<Chat>`. Reading, writing and describing the struct stays with
//! serde and schemars.

mod channel;
mod expand;

use proc_macro::TokenStream;

/// Makes a struct with named fields the state of a graph: each field is a channel.
///
/// Without an attribute a channel keeps the last value, and two writes in one super-step are an error.
///
/// | attribute | what becomes of the writes of one super-step |
/// |---|---|
/// | `#[channel(add_messages)]` | messages, appended or replaced by id |
/// | `#[channel(append)]` | elements, appended |
/// | `#[channel(merge)]` | objects, merged at their top level |
/// | `#[channel(sum)]` | numbers, added |
/// | `#[channel(any_value)]` | the last write wins, several are fine |
/// | `#[channel(ephemeral)]` | holds for the next super-step only |
/// | `#[channel(untracked)]` | last value, but not part of a checkpoint |
/// | `#[channel(reducer = path)]` | `fn(T, T) -> T` of your own; with `write = W` a `fn(T, W) -> T` |
///
/// `#[channel(default = expr)]`, alone or after one of the above, is the value before the first write.
#[proc_macro_derive(State, attributes(channel))]
pub fn derive_state(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::state(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
