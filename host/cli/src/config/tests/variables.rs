//! Values that come from elsewhere: templates, `.env` files.

use std::path::Path;

use serde_json::json;

use super::super::{Environment, Flags, parse};
use super::{environment, load_text, one_problem, problems, with};

#[test]
fn variables_are_replaced_where_a_key_allows_it() {
    let keys = json!({
        "webhooks": {
            "headers": { "Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}" },
            "signing": { "secrets": ["${{ env.NEW }}", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] },
        },
        "secrets": { "KEY": { "value": "${{ env.TOKEN }}", "hosts": ["api.example.com"] } },
        "env": { "A": "${{ env.TOKEN }}!" },
    });
    let new = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";
    let variables = [("LG_WEBHOOK_TOKEN", "t1"), ("TOKEN", "t2"), ("NEW", new)];
    let config = load_text(&with(&keys), &variables).unwrap();
    assert_eq!(
        config.webhooks.secrets,
        [new, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    );
    assert_eq!(config.webhooks.options().secrets.len(), 2);
    assert_eq!(
        config.webhooks.headers,
        [("Authorization".to_owned(), "Bearer t1".to_owned())]
    );
    assert_eq!(config.graphs[0].secrets[0].value, "t2");
    assert_eq!(config.graphs[0].env["A"], "t2!");
    assert!(
        !format!("{config:?}").contains("t1")
            && !format!("{config:?}").contains("bmV3")
            && !format!("{:?}", config.graphs[0].secrets).contains("t2")
    );
    assert_eq!(
        load_text(&with(&keys), &[("TOKEN", "t2")]).unwrap_err(),
        [
            "langgraph.json: webhooks.headers.Authorization: the environment variable LG_WEBHOOK_TOKEN is not set",
            "langgraph.json: webhooks.signing.secrets[0]: the environment variable NEW is not set",
        ]
    );
}

#[test]
fn variables_are_refused_where_a_key_does_not_allow_them() {
    for (keys, place) in [
        (
            json!({ "storage": { "path": "${{ env.DIR }}" } }),
            "storage.path",
        ),
        (
            json!({ "egress": { "allowed_domains": ["${{ env.D }}"] } }),
            "egress.allowed_domains[0]",
        ),
        (
            json!({ "sandbox": { "cpu_ms": "${{ env.CPU }}" } }),
            "sandbox.cpu_ms",
        ),
        (
            json!({ "graphs": { "a": { "path": "./a.wasm", "context": { "deep": ["${{ env.X }}"] } } } }),
            "graphs.a.context.deep[0]",
        ),
    ] {
        let problems = problems(&keys);
        assert_eq!(
            problems[0],
            format!("langgraph.json: {place}: variables are not replaced in this key")
        );
    }
    let outside =
        json!({ "webhooks": { "env_prefix": "HOOK_", "headers": { "X": "${{ env.OTHER }}" } } });
    let problems = load_text(&with(&outside), &[("OTHER", "x")]).unwrap_err();
    assert_eq!(
        problems,
        [
            "langgraph.json: webhooks.headers.X: OTHER does not begin with webhooks.env_prefix (\"HOOK_\")"
        ]
    );
    let inside =
        json!({ "webhooks": { "env_prefix": "HOOK_", "headers": { "X": "${{ env.HOOK_X }}" } } });
    let config = load_text(&with(&inside), &[("HOOK_X", "x")]).unwrap();
    assert_eq!(config.webhooks.headers, [("X".to_owned(), "x".to_owned())]);
    let malformed = json!({ "webhooks": { "headers": { "X": "${{ LG_WEBHOOK_X }}" } } });
    one_problem(
        &malformed,
        "webhooks.headers.X: \"${{ LG_WEBHOOK_X }}\" is not of the form ${{ env.NAME }}",
    );
}

#[test]
fn commands_that_need_no_values_do_not_ask_for_variables() {
    let keys = json!({
        "secrets": { "KEY": { "value": "${{ env.UNSET }}", "hosts": ["a.example"] } },
        "webhooks": { "signing": { "secrets": ["${{ env.UNSET }}"] } },
    });
    let environment = Environment {
        needs_values: false,
        ..environment(&[])
    };
    assert!(parse(&with(&keys), &Flags::of(Path::new("f")), &environment).is_ok());
}

#[test]
fn an_env_file_is_read_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(".env"),
        "# comment\nA=1\nexport B=\"two words\"\n",
    )
    .unwrap();
    let environment = Environment {
        directory: folder.path().to_owned(),
        ..environment(&[])
    };
    let flags = Flags::of(Path::new("langgraph.json"));
    let config = parse(&with(&json!({ "env": ".env" })), &flags, &environment).unwrap();
    assert_eq!(
        (
            config.graphs[0].env["A"].as_str(),
            config.graphs[0].env["B"].as_str()
        ),
        ("1", "two words")
    );

    let missing = parse(&with(&json!({ "env": "no.env" })), &flags, &environment).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("langgraph.json: env: cannot read "),
        "{missing}"
    );
    std::fs::write(folder.path().join(".env"), "A=1\nnonsense secret\n").unwrap();
    let broken = parse(&with(&json!({ "env": ".env" })), &flags, &environment)
        .unwrap_err()
        .to_string();
    assert!(
        broken.contains(".env:2 is not of the form NAME=value") && !broken.contains("secret"),
        "{broken}"
    );
}
