/**
 * A chat as agent-chat-ui has it: it asks whether the server is there, lists the graph's conversations, says things again
 * and otherwise, and goes back and forth between what came of that.
 */
import { useEffect, useState } from "react";
import { Client } from "@langchain/langgraph-sdk";
import { useStream } from "@langchain/langgraph-sdk/react";

const text = ({ content }) => (typeof content === "string" ? content : content.map((block) => block.text).join(""));
const STREAMED = { streamMode: ["values"], streamSubgraphs: true, streamResumable: true };

export function Chat({ server, graph, thread, gate, keepThread }) {
  const [reached, setReached] = useState(false);
  const [threads, setThreads] = useState([]);
  const list = () =>
    new Client({ apiUrl: server, apiKey: null }).threads
      .search({ metadata: { graph_id: graph }, limit: 100 })
      .then(setThreads);
  useEffect(() => {
    fetch(`${server}/info`).then(({ ok }) => setReached(ok));
    list();
  }, []);

  const stream = useStream({
    apiUrl: server,
    assistantId: graph,
    threadId: thread ?? null,
    onThreadId: keepThread,
    fetchStateHistory: true,
    onFinish: list,
  });

  function say(content, checkpoint) {
    const message = { type: "human", id: crypto.randomUUID(), content: [{ type: "text", text: content }] };
    const optimisticValues = (before) => ({ ...before, messages: [...(before.messages ?? []), message] });
    stream.submit({ messages: [message], gate }, { ...STREAMED, checkpoint, optimisticValues });
  }

  return (
    <main>
      <p id="reached">{String(reached)}</p>
      <ul id="threads">
        {threads.map(({ thread_id: id }) => (
          <li key={id}>{id}</li>
        ))}
      </ul>
      <p id="state">{stream.isLoading ? "busy" : "idle"}</p>
      <p id="error">{stream.error == null ? "" : (stream.error.message ?? String(stream.error))}</p>
      <ol id="messages">
        {stream.messages.map((message) => (
          <Said key={message.id} message={message} stream={stream} say={say} />
        ))}
      </ol>
      <p id="interrupt">{JSON.stringify(stream.interrupt?.value ?? null)}</p>
      <button id="accept" onClick={() => stream.submit({}, { command: { resume: [{ type: "accept" }] } })}>
        Accept
      </button>
      <form
        id="form"
        onSubmit={(event) => {
          event.preventDefault();
          say(event.target.elements.said.value);
        }}
      >
        <input name="said" />
        <button id="submit">Send</button>
      </form>
    </main>
  );
}

/** One message, with what can be done about it, and the others that stand in its place. */
function Said({ message, stream, say }) {
  const [other, setOther] = useState("");
  const { firstSeenState, branch, branchOptions } = stream.getMessagesMetadata(message) ?? {};
  const before = firstSeenState?.parent_checkpoint;
  const again = () => stream.submit(undefined, { ...STREAMED, checkpoint: before });
  return (
    <li data-type={message.type}>
      <span className="text">{`${message.type}: ${text(message)}`}</span>
      {message.type === "ai" && (
        <button className="again" onClick={again}>
          Regenerate
        </button>
      )}
      {message.type === "human" && (
        <>
          <input className="other" onChange={({ target }) => setOther(target.value)} />
          <button className="edit" onClick={() => say(other, before)}>
            Edit
          </button>
        </>
      )}
      {branchOptions?.map((option, index) => (
        <button key={option} className="branch" disabled={option === branch} onClick={() => stream.setBranch(option)}>
          {index + 1}
        </button>
      ))}
    </li>
  );
}
