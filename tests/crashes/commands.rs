//! Killed in the first super-step of a run that goes on from what another one left: nothing that the caller gave is
//! applied a second time, and no breakpoint stops the run twice.

use serde_json::{Value, json};

use super::{World, create, durability};
use crate::support::eventually;
use crate::support::server::text;

/// A thread of the graph `steps`, and what its log must hold by now.
struct Steps {
    thread: String,
    marker: String,
    durability: &'static str,
    /// To the first question.
    answer: Value,
    log: Vec<String>,
}

impl World {
    pub(super) async fn killed_in_commands(&mut self, round: usize) {
        let mut steps = self.start_steps(round).await;
        self.killed_with_an_answer_used(&mut steps).await;
        self.killed_in_a_resume(&mut steps).await;
        self.killed_in_an_update(&mut steps).await;
        self.killed_before_a_breakpoint(&mut steps).await;
        self.killed_past_a_breakpoint(&mut steps).await;
    }

    /// A thread that has asked.
    async fn start_steps(&self, round: usize) -> Steps {
        let marker = format!("steps-{round}");
        let thread = self.server.new_thread().await;
        let input = json!({"counter": self.effects.url(&format!("/{marker}"))});
        let body = json!({"assistant_id": "steps", "input": input});
        let asked = self.server.wait(&thread, &body).await;
        let question = &asked["__interrupt__"][0];
        assert_eq!(question["value"], "one?");
        Steps {
            // By value and by the question's id.
            answer: if round.is_multiple_of(2) {
                json!("x")
            } else {
                json!({text(&question["id"]): "x"})
            },
            thread,
            marker,
            durability: durability(round),
            log: Vec::new(),
        }
    }

    /// A task has used the answer to its first question and has asked another one, which that answer is not for.
    async fn killed_with_an_answer_used(&mut self, steps: &mut Steps) {
        let held = self.hold(&steps.path("next"));
        let run = json!({"command": {"resume": steps.answer, "goto": "next"}});
        let run = self.create_steps(steps, run).await;
        self.arrives(held).await;
        if steps.durability != "exit" {
            steps.has_asked(self, "two?").await;
        }
        self.killed_and_back("with an answer used").await;
        self.server.ended_run(&run).await;
        steps.has_asked(self, "two?").await;
        steps.ended_before(self, &["ask"]).await;
    }

    async fn killed_in_a_resume(&mut self, steps: &mut Steps) {
        let run = json!({"command": {"resume": "y"}});
        self.killed_in(steps, "ask", run, "in a resume").await;
        // `next` had ended beside `ask`, and follows it once more.
        steps
            .has_logged(self, &["x, y", "next", "last", "next", "last"])
            .await;
        steps.ended_before(self, &[]).await;
    }

    /// An update that is applied twice would show twice, as an answer is not.
    async fn killed_in_an_update(&mut self, steps: &mut Steps) {
        let run = json!({"command": {"update": {"log": ["update"]}, "goto": "next"}});
        self.killed_in(steps, "next", run, "in an update").await;
        steps.has_logged(self, &["update", "next", "last"]).await;
        steps.ended_before(self, &[]).await;
    }

    /// The run has still to stop.
    async fn killed_before_a_breakpoint(&mut self, steps: &mut Steps) {
        let run = json!({"command": {"goto": "next"}, "interrupt_before": ["last"]});
        self.killed_in(steps, "next", run, "before a breakpoint")
            .await;
        steps.has_logged(self, &["next"]).await;
        steps.ended_before(self, &["last"]).await;
    }

    /// The run that goes on from the breakpoint has the same one, and has passed it.
    async fn killed_past_a_breakpoint(&mut self, steps: &mut Steps) {
        let run = json!({"input": null, "interrupt_before": ["last"]});
        self.killed_in(steps, "last", run, "past a breakpoint")
            .await;
        steps.has_logged(self, &["last"]).await;
        steps.ended_before(self, &[]).await;
    }

    /// Kills the process while a task of the run waits, and sees the run end after that.
    async fn killed_in(&mut self, steps: &Steps, task: &str, run: Value, moment: &'static str) {
        let held = self.hold(&steps.path(task));
        let run = self.create_steps(steps, run).await;
        self.arrives(held).await;
        self.killed_and_back(moment).await;
        let run = self.server.ended_run(&run).await;
        assert_eq!(run["status"], "success", "{moment}: {run}");
    }

    async fn create_steps(&mut self, steps: &Steps, run: Value) -> Value {
        let path = format!("/threads/{}/runs", steps.thread);
        let body = steps.body(self, run);
        let run = create(&self.server, &path, &body)
            .await
            .expect("the server runs");
        self.promises.accepted.insert(run.clone());
        json!({"thread_id": steps.thread, "run_id": run})
    }
}

impl Steps {
    fn path(&self, task: &str) -> String {
        format!("/{}?task={task}", self.marker)
    }

    fn body(&self, world: &World, mut run: Value) -> Value {
        run["assistant_id"] = json!("steps");
        run["durability"] = json!(self.durability);
        run["webhook"] = json!(world.webhooks.url("/"));
        run
    }

    async fn has_logged(&mut self, world: &World, more: &[&str]) {
        self.log.extend(more.iter().map(|line| (*line).to_owned()));
        let state = world.server.state(&self.thread).await;
        assert_eq!(
            state["values"]["log"],
            json!(self.log),
            "{} {}",
            self.marker,
            self.durability
        );
    }

    async fn ended_before(&self, world: &World, next: &[&str]) {
        let state = world.server.state(&self.thread).await;
        assert_eq!(
            state["next"],
            json!(next),
            "{} {}",
            self.marker,
            self.durability
        );
    }

    async fn has_asked(&self, world: &World, question: &str) {
        eventually(&format!("the question {question}"), async || {
            let state = world.server.state(&self.thread).await;
            let asked = state["interrupts"].as_array().expect("interrupts");
            asked.iter().any(|i| i["value"] == question).then_some(())
        })
        .await;
    }
}
