//! How a namespace of store items is written in its column: so that what lies under a namespace is a range, and the
//! order of the column is the order of the labels.
//!
//! Each label is written as its bytes and the two bytes 0, 1; a byte 0 in a label is written as 0, 255.

use super::error::unreadable;
use crate::StorageError;

const END: [u8; 2] = [0, 1];
const ESCAPED_NUL: [u8; 2] = [0, 255];

/// Writes a namespace.
pub(super) fn encode<L: AsRef<str>>(labels: &[L]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in labels {
        for byte in label.as_ref().bytes() {
            match byte {
                0 => bytes.extend(ESCAPED_NUL),
                byte => bytes.push(byte),
            }
        }
        bytes.extend(END);
    }
    bytes
}

/// The first value of the column that lies behind a namespace and all that is under it.
pub(super) fn behind(encoded: &[u8]) -> Vec<u8> {
    match encoded.split_last() {
        Some((last, rest)) => [rest, &[last.saturating_add(1)]].concat(),
        // Behind everything: no label begins with this byte.
        None => vec![255],
    }
}

/// Reads a namespace.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<String>, StorageError> {
    let mut labels = Vec::new();
    let mut label = Vec::new();
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        match (byte, (byte == 0).then(|| rest.next()).flatten()) {
            (0, Some(1)) => {
                let text = String::from_utf8(std::mem::take(&mut label));
                labels.push(text.map_err(|e| unreadable("namespace", e))?);
            }
            (byte, _) => label.push(byte),
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
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
        let encoded = namespaces.map(encode);
        assert!(encoded.is_sorted());
        for (labels, bytes) in namespaces.iter().zip(&encoded) {
            assert_eq!(decode(bytes).unwrap(), *labels);
            assert!(*bytes < behind(&[]));
        }
        let under_a = |labels: &[&str]| {
            let bytes = encode(labels);
            encode(&["a"]) <= bytes && bytes < behind(&encode(&["a"]))
        };
        assert_eq!(
            namespaces.map(under_a),
            [false, true, true, true, false, false, false, false]
        );
    }
}
