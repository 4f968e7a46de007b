//! What is given on a thread that asks: which of its questions it answers, so that no other run is taken to answer them
//! too.

use selvedge_model::Json;
use selvedge_model::run::Command;
use selvedge_model::thread::Interrupt;
use selvedge_runtime::CreateRun;

/// The run with which an answer goes to those of the open questions that it names by their ids, or else to the only one.
/// What names none of several is the answer to whichever the graph makes of it.
pub(crate) fn answering(run: CreateRun, open: &[Interrupt], given: Json) -> CreateRun {
    let is_open = |id: &String| open.iter().any(|question| question.id == *id);
    let named = given.members().filter(|named| !named.is_empty());
    let named = named.filter(|named| named.keys().all(is_open));
    let (resume, answers) = match (named, open) {
        (Some(named), _) => (given, named.into_keys().collect()),
        (None, [only]) => (Json::object([(&only.id, &given)]), vec![only.id.clone()]),
        (None, several) => {
            let ids = several.iter().map(|question| question.id.clone());
            (given, ids.collect())
        }
    };
    CreateRun {
        command: Some(Command {
            resume: Some(resume),
            ..run.command.unwrap_or_default()
        }),
        answers,
        ..run
    }
}
