//! How a namespace of store items is written in its column: so that what lies under a namespace is a range, and the
//! order of the column is the order of the labels.
//!
//! Each label is written as its bytes and the two bytes 0, 1; a byte 0 in a label is written as 0, 255. What belongs
//! to somebody begins with the byte 254, which begins no label, and their identity written like a label: each
//! identity has a space of its own, in which the order is the same.

use selvedge_model::Scope;

use super::error::unreadable;
use super::scope::owner;
use crate::StorageError;

const END: [u8; 2] = [0, 1];
const ESCAPED_NUL: [u8; 2] = [0, 255];

/// Before the identity of an owner. It is in no UTF-8.
const OWNED: u8 = 254;

/// Writes a namespace of the space that a scope creates items in.
pub(super) fn encode<L: AsRef<str>>(scope: &Scope, labels: &[L]) -> Vec<u8> {
    let mut bytes = space(scope);
    for label in labels {
        write_label(&mut bytes, label.as_ref());
    }
    bytes
}

/// What every namespace of a scope begins with.
fn space(scope: &Scope) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(owner) = owner(scope) {
        bytes.push(OWNED);
        write_label(&mut bytes, owner);
    }
    bytes
}

fn write_label(bytes: &mut Vec<u8>, label: &str) {
    for byte in label.bytes() {
        match byte {
            0 => bytes.extend(ESCAPED_NUL),
            byte => bytes.push(byte),
        }
    }
    bytes.extend(END);
}

/// The first value of the column that lies behind a namespace and all that is under it.
pub(super) fn behind(encoded: &[u8]) -> Vec<u8> {
    match encoded.split_last() {
        Some((last, rest)) => [rest, &[last.saturating_add(1)]].concat(),
        // Behind everything that belongs to nobody.
        None => vec![OWNED],
    }
}

/// Reads a namespace.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<String>, StorageError> {
    let mut labels = Vec::new();
    let mut label = Vec::new();
    let is_owned = bytes.first() == Some(&OWNED);
    let mut rest = bytes
        .get(usize::from(is_owned)..)
        .unwrap_or_default()
        .iter();
    while let Some(&byte) = rest.next() {
        match (byte, (byte == 0).then(|| rest.next()).flatten()) {
            (0, Some(1)) => {
                let text = String::from_utf8(std::mem::take(&mut label));
                labels.push(text.map_err(|e| unreadable("namespace", e))?);
            }
            (byte, _) => label.push(byte),
        }
    }
    // The first is the identity.
    Ok(labels.split_off(usize::from(is_owned).min(labels.len())))
}

#[cfg(test)]
mod tests {
    use selvedge_model::Identity;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_keeps_the_order_of_labels() {
        let namespaces: [&[&str]; 8] = [
            &[],
            &["a"],
            &["a", "b"],
            &["a", "b\0c"],
            &["a\0"],
            &["aa"],
            &["b"],
            &["\u{10ffff}", "z"],
        ];
        let ann = Scope::Of(Identity::new("ann").unwrap());
        let anna = Scope::Operator(Identity::new("anna").unwrap());
        for scope in [&Scope::Host, &ann, &anna] {
            let encoded = namespaces.map(|labels| encode(scope, labels));
            assert!(encoded.is_sorted());
            for (labels, bytes) in namespaces.iter().zip(&encoded) {
                assert_eq!(decode(bytes).unwrap(), *labels);
                let is_within = |space: &Scope| {
                    let all = encode::<&str>(space, &[]);
                    all <= *bytes && *bytes < behind(&all)
                };
                let spaces = [&Scope::Host, &ann, &anna];
                assert_eq!(spaces.map(is_within), spaces.map(|space| space == scope));
            }
        }
        let under_a = |labels: &[&str]| {
            let bytes = encode(&Scope::Host, labels);
            let a = encode(&Scope::Host, &["a"]);
            a <= bytes && bytes < behind(&a)
        };
        assert_eq!(
            namespaces.map(under_a),
            [false, true, true, true, false, false, false, false]
        );
    }
}
