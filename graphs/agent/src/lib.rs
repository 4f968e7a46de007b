//! A chat agent with tools, whose answers are streamed.
//!
//! The model is chosen by the environment: with `MODEL_BASE_URL` (and `MODEL_NAME`, and `MODEL_API_KEY` where the
//! server wants one) it is any server that speaks OpenAI's chat completions. Without, it is the built-in scripted
//! model, which needs no network: ask it “what is 6 * 7?” or “what time is it?”.

mod calculator;

use selvedge_sdk::chat::{ChatModel, OpenAi, Scripted};
use selvedge_sdk::prelude::*;
use selvedge_sdk::{Tool, create_agent, time, tool};

const PROMPT: &str = "You are a helpful assistant. Use the tools for sums and for the time; otherwise answer briefly.";

selvedge_sdk::graphs! {
    "agent" => create_agent(model, [calculator(), current_time()], PROMPT),
}

fn model(ctx: &Context) -> Result<Box<dyn ChatModel>, NodeError> {
    let Some(base) = ctx.var("MODEL_BASE_URL") else {
        return Ok(Box::new(Scripted));
    };
    let missing = || NodeError::new("ConfigError", "MODEL_BASE_URL is set and MODEL_NAME is not");
    let name = ctx.var("MODEL_NAME").ok_or_else(missing)?;
    Ok(Box::new(
        OpenAi::new(base, name).api_key(ctx.var("MODEL_API_KEY")),
    ))
}

/// What the model may give to the calculator.
#[derive(Deserialize, JsonSchema)]
struct Sum {
    /// Numbers, `+ - * /` and parentheses: `2 * (3 + 4)`.
    expression: String,
}

fn calculator() -> Tool {
    tool(
        "calculator",
        "Works out an arithmetic expression.",
        |sum: Sum, _: &Context| {
            // As a text, 42 and not 42.0.
            calculator::evaluate(&sum.expression)
                .map(|n| n.to_string())
                .map_err(NodeError::value)
        },
    )
}

/// The clock needs nothing.
#[derive(Deserialize, JsonSchema)]
struct Nothing {}

fn current_time() -> Tool {
    tool(
        "current_time",
        "The current date and time in UTC.",
        |_: Nothing, _: &Context| Ok(time::now_rfc3339()),
    )
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::testing::{Run, answer_http};
    use serde_json::{Value, json};

    use super::graphs;

    fn ask(text: &str) -> Run {
        Run::start(
            &graphs(),
            "agent",
            json!({"messages": [{"role": "user", "content": text}]}),
        )
        .unwrap()
    }

    #[test]
    fn a_plain_message_is_answered_in_one_super_step() {
        let run = ask("hello");
        assert_eq!(run.steps(), 1);
        assert_eq!(run.tokens(), "You said: hello");
        assert_eq!(run.output()["messages"][1]["content"], "You said: hello");
    }

    #[test]
    fn a_sum_goes_through_the_calculator() {
        let run = ask("what is 6 * 7?");
        assert_eq!(run.steps(), 3);
        let messages = run.output()["messages"].clone();
        assert_eq!(messages[1]["tool_calls"][0]["name"], "calculator");
        assert_eq!(
            (&messages[2]["type"], &messages[2]["content"]),
            (&json!("tool"), &json!("42"))
        );
        assert_eq!(messages[3]["content"], "The answer is 42.");
    }

    #[test]
    fn a_tools_mistake_is_told_to_the_model() {
        let run = ask("what is 1 / 0?");
        assert_eq!(run.output()["messages"][2]["status"], "error");
    }

    #[test]
    fn with_a_base_url_the_model_is_asked_over_http() {
        answer_http(|request| {
            let body: Value = serde_json::from_str(&request.body()).unwrap();
            assert_eq!(
                (&body["model"], &body["messages"][1]["content"]),
                (&json!("m"), &json!("hello"))
            );
            assert_eq!(body["tools"][0]["function"]["name"], "calculator");
            let chunk =
                json!({"choices": [{"delta": {"content": "Hi!"}, "finish_reason": "stop"}]});
            Ok((200, vec![format!("data: {chunk}\n\ndata: [DONE]\n\n")]))
        });
        let input = json!({"messages": [{"role": "user", "content": "hello"}]});
        let vars = [("MODEL_BASE_URL", "http://model/v1"), ("MODEL_NAME", "m")];
        let run = Run::start_with(&graphs(), "agent", input, &vars).unwrap();
        assert_eq!(run.output()["messages"][1]["content"], "Hi!");
    }
}
