//! The body of a request: whatever comes is refused, or is JSON as the rest of the program takes it for granted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use selvedge_model::Json;
use selvedge_model::json::MAX_DEPTH;
use selvedge_model::run::Command;

fuzz_target!(|bytes: &[u8]| {
    let Ok(json) = Json::parse_bytes(bytes) else {
        return;
    };
    let again = Json::parse(json.as_str()).expect("what was checked is fine");
    assert_eq!(
        again.as_str(),
        json.as_str(),
        "cleaning twice changes nothing"
    );
    assert!(depth(json.as_str()) <= MAX_DEPTH);
    assert!(!json.as_str().contains('\0'));
    let _ = json.to_value();
    for member in json.members().iter().flatten() {
        assert!(Json::parse(member.1.as_str()).is_ok());
    }
    for item in json.items().iter().flatten() {
        assert!(Json::parse(item.as_str()).is_ok());
    }
    let _ = json.decode::<Command>();
});

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}
