//! Reads a field and its attributes into a [`Channel`].

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Error, Expr, Field, GenericArgument, Ident, LitStr, Path, PathArguments, Result, Type};

/// The names that `Update` has for itself; a setter of the same name could never be called.
const TAKEN: &[&str] = &[
    "new",
    "goto",
    "goto_if",
    "send",
    "write",
    "overwrite",
    "written",
    "targets",
    "to_json",
];

/// A field of the state.
pub struct Channel {
    /// The field.
    pub ident: Ident,
    /// The channel's name: the field's, or what `#[serde(rename)]` says.
    pub name: String,
    /// The field's type.
    pub ty: Type,
    /// What becomes of concurrent writes.
    pub reducer: Reducer,
    /// The value before the first write.
    pub default: Option<Expr>,
}

/// The reducers, by what their setters take.
pub enum Reducer {
    /// A built-in one, as the variant of `selvedge_sdk::Reducer`.
    BuiltIn(Ident),
    /// The author's function and the type that it takes from a write.
    Custom {
        path: Box<Path>,
        write: Option<Box<Type>>,
    },
}

impl Channel {
    /// Reads one field.
    pub fn read(field: &Field) -> Result<Self> {
        let ident = field
            .ident
            .clone()
            .ok_or_else(|| Error::new(field.span(), "a channel needs a name"))?;
        if TAKEN.contains(&ident.to_string().as_str()) {
            let message = format!(
                "`{ident}` is a method of Update: give the field another name, and keep the channel's with #[serde(rename = \"{ident}\")]"
            );
            return Err(Error::new(ident.span(), message));
        }
        let name = serde_name(field)?
            .unwrap_or_else(|| ident.to_string().trim_start_matches("r#").to_owned());
        let mut channel = Self {
            name,
            ty: field.ty.clone(),
            reducer: built_in("LastValue", ident.span()),
            default: None,
            ident,
        };
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("channel")) {
            channel.read_attribute(attribute)?;
        }
        Ok(channel)
    }

    fn read_attribute(&mut self, attribute: &syn::Attribute) -> Result<()> {
        let mut write = None;
        attribute.parse_nested_meta(|meta| {
            let span = meta.path.span();
            let key = meta.path.get_ident().map(Ident::to_string).unwrap_or_default();
            match key.as_str() {
                "add_messages" => self.reducer = built_in("AddMessages", span),
                "append" => self.reducer = built_in("Append", span),
                "merge" => self.reducer = built_in("Merge", span),
                "sum" => self.reducer = built_in("Sum", span),
                "any_value" => self.reducer = built_in("AnyValue", span),
                "ephemeral" => self.reducer = built_in("Ephemeral", span),
                "untracked" => self.reducer = built_in("Untracked", span),
                "reducer" => self.reducer = Reducer::Custom { path: Box::new(meta.value()?.parse()?), write: None },
                "write" => write = Some((span, meta.value()?.parse::<Type>()?)),
                "default" => self.default = Some(meta.value()?.parse()?),
                _ => {
                    return Err(meta.error(
                        "expected add_messages, append, merge, sum, any_value, ephemeral, untracked, \
                         reducer = path, write = Type or default = expression",
                    ));
                }
            }
            Ok(())
        })?;
        match (write, &mut self.reducer) {
            (Some((_, ty)), Reducer::Custom { write, .. }) => *write = Some(Box::new(ty)),
            (Some((span, _)), Reducer::BuiltIn(_)) => {
                return Err(Error::new(span, "`write` goes with `reducer = path`"));
            }
            (None, _) => {}
        }
        Ok(())
    }

    /// `T` where the field's type is written as `Option<T>`.
    pub fn optional(&self) -> Option<&Type> {
        let Type::Path(path) = &self.ty else {
            return None;
        };
        let last = path.path.segments.last().filter(|s| s.ident == "Option")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else {
            return None;
        };
        match arguments.args.first() {
            Some(GenericArgument::Type(inner)) => Some(inner),
            _ => None,
        }
    }
}

/// Whether a literal such as `3` should be taken for this type as it is: `impl Into<u64>` would make it an `i32`.
pub fn is_primitive(ty: &Type) -> bool {
    const PRIMITIVES: &[&str] = &[
        "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16",
        "u32", "u64", "u128", "usize",
    ];
    matches!(ty, Type::Path(path) if path.path.get_ident().is_some_and(|i| PRIMITIVES.contains(&i.to_string().as_str())))
}

fn built_in(variant: &str, span: Span) -> Reducer {
    Reducer::BuiltIn(Ident::new(variant, span))
}

/// The name under which serde writes the field; the channel must have the same.
fn serde_name(field: &Field) -> Result<Option<String>> {
    let mut name = None;
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("rename") {
                name = Some(meta.value()?.parse::<LitStr>()?.value());
            } else if meta.path.is_ident("flatten") || meta.path.is_ident("skip") {
                return Err(meta.error("each field of a state is a channel of its own: it cannot be flattened or skipped"));
            } else if meta.input.peek(syn::Token![=]) {
                meta.value()?.parse::<Expr>()?;
            }
            Ok(())
        })?;
    }
    Ok(name)
}
