//! Writes the code for the channels that were read.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, Result};

use crate::channel::{Channel, Reducer, is_primitive};

/// `impl State` and the trait with the setters.
pub fn state(input: &DeriveInput) -> Result<TokenStream> {
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(named) => &named.named,
            _ => {
                return Err(Error::new_spanned(
                    &input.ident,
                    "a state is a struct with named fields",
                ));
            }
        },
        _ => {
            return Err(Error::new_spanned(
                &input.ident,
                "a state is a struct with named fields",
            ));
        }
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a state cannot be generic: its channels are fixed",
        ));
    }
    refuse_rename_all(input)?;
    let channels = fields
        .iter()
        .map(Channel::read)
        .collect::<Result<Vec<_>>>()?;

    let name = &input.ident;
    let vis = &input.vis;
    let setters_name = format_ident!("{name}Update");
    let setters_doc =
        format!("Typed setters for the channels of [`{name}`], for use on `{name}::update()`.");
    let table = channels.iter().map(table_entry);
    let setters = channels.iter().map(setters);
    let (heads, bodies): (Vec<_>, Vec<_>) = setters.flatten().unzip();
    let title = name.to_string();

    Ok(quote! {
        #[automatically_derived]
        impl ::selvedge_sdk::State for #name {
            const NAME: &'static str = #title;
            fn channels() -> &'static [::selvedge_sdk::Channel] {
                static CHANNELS: &[::selvedge_sdk::Channel] = &[#(#table),*];
                CHANNELS
            }
        }

        #[doc = #setters_doc]
        #[allow(dead_code, reason = "a graph may use few of the setters, or none")]
        #vis trait #setters_name: ::core::marker::Sized {
            #(#heads;)*
        }

        #[automatically_derived]
        impl #setters_name for ::selvedge_sdk::Update<#name> {
            #(#bodies)*
        }
    })
}

fn refuse_rename_all(input: &DeriveInput) -> Result<()> {
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("rename_all") {
                return Err(meta.error(
                    "the channels would have other names than the fields: rename fields one by one",
                ));
            }
            if meta.input.peek(syn::Token![=]) {
                meta.value()?.parse::<syn::Expr>()?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// One line of the table of channels.
fn table_entry(channel: &Channel) -> TokenStream {
    let Channel {
        name,
        ty,
        reducer,
        default,
        ..
    } = channel;
    let default_value = default
        .as_ref()
        .map(|expr| quote!({ let value: #ty = #expr; value }));
    match reducer {
        Reducer::BuiltIn(variant) => {
            let default = match default_value {
                Some(value) => {
                    quote!(::core::option::Option::Some(|| ::selvedge_sdk::__private::value(&#value)))
                }
                None => quote!(::core::option::Option::None),
            };
            quote! {
                ::selvedge_sdk::Channel {
                    name: #name,
                    reducer: ::selvedge_sdk::Reducer::#variant,
                    default: #default,
                    reduce: ::core::option::Option::None,
                }
            }
        }
        Reducer::Custom { path, write } => {
            let write = write.as_deref().unwrap_or(ty);
            let start = default_value
                .unwrap_or_else(|| quote!(<#ty as ::core::default::Default>::default()));
            quote! {
                ::selvedge_sdk::Channel {
                    name: #name,
                    reducer: ::selvedge_sdk::Reducer::Custom,
                    default: ::core::option::Option::Some(|| ::selvedge_sdk::__private::value(&#start)),
                    reduce: ::core::option::Option::Some(|current, updates| {
                        ::selvedge_sdk::__private::fold::<#ty, #write>(current, updates, || #start, #path)
                    }),
                }
            }
        }
    }
}

/// The setters of one channel, each as (signature with its doc, definition).
fn setters(channel: &Channel) -> Vec<(TokenStream, TokenStream)> {
    let Channel {
        ident,
        name,
        ty,
        reducer,
        ..
    } = channel;
    let variant = match reducer {
        Reducer::BuiltIn(variant) => variant.to_string(),
        Reducer::Custom { .. } => "Custom".to_owned(),
    };
    let (generics, argument, written) = match (variant.as_str(), reducer) {
        ("AddMessages" | "Append", _) => (
            quote!(),
            quote!(impl ::core::iter::IntoIterator<Item = impl ::core::convert::Into<<#ty as ::core::iter::IntoIterator>::Item>>),
            quote! {
                value
                    .into_iter()
                    .map(::core::convert::Into::<<#ty as ::core::iter::IntoIterator>::Item>::into)
                    .collect::<::std::vec::Vec<_>>()
            },
        ),
        (
            _,
            Reducer::Custom {
                write: Some(write), ..
            },
        ) => (quote!(), quote!(#write), quote!(value)),
        _ => single(channel),
    };
    let doc = format!("Writes to the channel `{name}`.");
    let head = quote!(fn #ident #generics (self, value: #argument) -> Self);
    let mut all = vec![(
        quote!(#[doc = #doc] #head),
        quote! { #head { let value = #written; self.write(#name, &value) } },
    )];
    if matches!(
        variant.as_str(),
        "AddMessages" | "Append" | "Merge" | "Sum" | "Custom"
    ) {
        let overwrite = format_ident!("overwrite_{}", ident.to_string().trim_start_matches("r#"));
        let doc = format!(
            "Replaces the value of the channel `{name}`, where a write would be combined with it."
        );
        let head = quote!(fn #overwrite(self, value: #ty) -> Self);
        all.push((
            quote!(#[doc = #doc] #head),
            quote! { #head { self.overwrite(#name, &value) } },
        ));
    }
    all
}

/// The setter's generics, argument and written value for a channel that takes one value.
fn single(channel: &Channel) -> (TokenStream, TokenStream, TokenStream) {
    let ty = &channel.ty;
    match channel.optional() {
        Some(inner) if is_primitive(inner) => (
            quote!(),
            quote!(impl ::core::convert::Into<#ty>),
            quote!(::core::convert::Into::<#ty>::into(value)),
        ),
        Some(inner) => (
            quote!(<Form>),
            quote!(impl ::selvedge_sdk::IntoOption<#inner, Form>),
            quote!(::selvedge_sdk::IntoOption::<#inner, Form>::into_option(value)),
        ),
        None if is_primitive(ty) => (quote!(), quote!(#ty), quote!(value)),
        None => (
            quote!(),
            quote!(impl ::core::convert::Into<#ty>),
            quote!(::core::convert::Into::<#ty>::into(value)),
        ),
    }
}
