//! What a component says of itself: refused, or a graph that can be drawn and run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use selvedge_model::Json;
use selvedge_model::graph::ComponentDescription;
use selvedge_pregel::Graph;
use walker::Walker;

mod walker;

fuzz_target!(|text: &str| {
    let Ok(json) = Json::parse(text) else { return };
    let Ok(description) = json.decode::<ComponentDescription>() else {
        return;
    };
    for graph in description.graphs {
        match Graph::new(graph) {
            Err(problems) => {
                assert!(!problems.is_empty());
                for problem in problems {
                    assert!(!problem.to_string().is_empty());
                }
            }
            Ok(graph) => {
                let _ = graph.drawing();
                Walker::new(graph).walk(&["{}"]);
            }
        }
    }
});
