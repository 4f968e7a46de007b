//! A model without a network: the same question always gets the same answer.

use serde_json::{Value, json};

use super::ChatModel;
use crate::context::Context;
use crate::error::NodeError;
use crate::message::{Message, Role, ToolCallChunk};
use crate::tool::Tool;

/// Answers in words, streamed as tokens; never waits. For trying a graph out and for tests.
///
/// It asks for a tool where the message names one (`use add {"a": 1, "b": 2}`), and for some questions that it
/// understands if there is a tool of that name: `what is 6 * 7?` → `calculator`, `what time is it?` → `current_time`.
/// After a tool's result it answers with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scripted;

impl ChatModel for Scripted {
    fn answer(
        &self,
        messages: &[Message],
        tools: &[Tool],
        ctx: &Context,
    ) -> Result<Message, NodeError> {
        let mut reply = ctx.stream();
        reply.response_metadata("model_name", "scripted");
        let results: Vec<&Message> = messages
            .iter()
            .rev()
            .take_while(|m| m.role == Role::Tool)
            .collect();
        let question = messages
            .iter()
            .rev()
            .find(|m| m.role == Role::Human)
            .map(Message::text)
            .unwrap_or_default();
        if !results.is_empty() {
            let told: Vec<_> = results.iter().rev().map(|m| m.text()).collect();
            say(
                &mut reply,
                &format!("The answer is {}.", told.join(" and ")),
            )?;
        } else if let Some((tool, arguments)) =
            wanted(&question).filter(|(t, _)| tools.iter().any(|o| o.name() == t))
        {
            // The id follows from the place in the conversation, so that two calls never share one.
            let id = format!("call_{}", messages.len());
            reply.tool_call(ToolCallChunk::new(
                0,
                Some(id),
                Some(tool),
                Some(arguments.to_string()),
            ))?;
            reply.response_metadata("finish_reason", "tool_calls");
            return reply.finish();
        } else {
            say(&mut reply, &format!("You said: {question}"))?;
        }
        reply.response_metadata("finish_reason", "stop");
        reply.finish()
    }
}

fn say(reply: &mut crate::MessageStream<'_>, text: &str) -> Result<(), NodeError> {
    text.split_inclusive(' ')
        .try_for_each(|word| reply.text(word))
}

/// The tool that a message asks for, and its arguments.
fn wanted(question: &str) -> Option<(String, Value)> {
    let lower = question.trim().to_lowercase();
    if let Some(request) = question.trim().strip_prefix("use ") {
        let (name, arguments) = request.split_once(' ').unwrap_or((request, "{}"));
        return Some((name.to_owned(), serde_json::from_str(arguments).ok()?));
    }
    if lower.contains("what time") {
        return Some(("current_time".to_owned(), json!({})));
    }
    let asked = lower
        .strip_prefix("what is ")
        .or(lower.strip_prefix("calculate "))?;
    let expression = asked.trim_end_matches(['?', '.', ' ']);
    let sum = expression
        .chars()
        .all(|c| c.is_ascii_digit() || " .+-*/()".contains(c));
    let counts = sum && expression.chars().any(|c| c.is_ascii_digit());
    counts.then(|| ("calculator".to_owned(), json!({"expression": expression})))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ToolCall;
    use crate::testing::Fake;
    use crate::tool::tool;

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Sum {
        expression: String,
    }

    #[test]
    fn a_sum_asks_for_the_calculator_and_its_result_is_the_answer() {
        let calculator = |sum: Sum, _: &Context| {
            assert_eq!(sum.expression, "6 * 7");
            Ok(42)
        };
        let tools = [tool("calculator", "", calculator)];
        let fake = Fake::new();
        let mut messages = vec![Message::human("What is 6 * 7?")];
        messages.push(Scripted.answer(&messages, &tools, fake.ctx()).unwrap());
        let call = messages[1].tool_calls[0].clone();
        assert_eq!(
            call,
            ToolCall::new("calculator", json!({"expression": "6 * 7"})).with_id("call_1")
        );
        messages.push(tools[0].call(&call, fake.ctx()).unwrap());
        assert_eq!(
            Scripted
                .answer(&messages, &tools, fake.ctx())
                .unwrap()
                .text(),
            "The answer is 42."
        );
    }

    #[test]
    fn other_messages_are_answered_in_words() {
        let fake = Fake::new();
        let answer = Scripted
            .answer(&[Message::human("what is love?")], &[], fake.ctx())
            .unwrap();
        assert_eq!(answer.text(), "You said: what is love?");
        assert_eq!(fake.tokens(), answer.text());
        assert!(fake.chunks().len() > 4);
    }
}
