/**
 * What a user sees and does, whichever line of the client is under it. Tests read nothing else.
 */
import { useState } from "react";

const json = (value) => JSON.stringify(value);

export function View(shown) {
  return (
    <main>
      <p id="state">{shown.loading ? "busy" : "idle"}</p>
      <p id="error">{shown.error == null ? "" : (shown.error.message ?? String(shown.error))}</p>
      <ol id="messages">
        {shown.messages.map(({ id, type, text }, index) => (
          <li key={id ?? index} data-id={id}>{`${type}: ${text}`}</li>
        ))}
      </ol>
      <pre id="values">{json(shown.values ?? null)}</pre>
      <List id="tool-calls" items={shown.toolCalls.map(({ name, state, result }) => [name, state, result].join(" "))} />
      <List id="tool-events" items={shown.toolEvents} />
      <List id="custom" items={shown.custom.map(json)} />
      <p id="progress">{json(shown.progress ?? null)}</p>
      <p id="queued">{shown.queued ?? 0}</p>
      <ul id="graphs">
        {shown.graphs.map(({ namespace, status, said }) => (
          <li key={namespace} data-namespace={namespace}>
            <span className="status">{status}</span> <span className="said">{said}</span>
          </li>
        ))}
      </ul>
      <Questions interrupts={shown.interrupts} answer={shown.answer} />
      <Submit submit={shown.submit} />
      <button id="stop" onClick={() => shown.stop()}>
        Stop
      </button>
    </main>
  );
}

function List({ id, items }) {
  return (
    <ul id={id}>
      {items.map((item, index) => (
        <li key={index}>{item}</li>
      ))}
    </ul>
  );
}

function Questions({ interrupts, answer }) {
  const [answers, setAnswers] = useState({});
  const send = (chosen) => answer(Object.fromEntries(chosen.map(({ id }) => [id, answers[id]])));
  return (
    <>
      <ul id="questions">
        {interrupts.map((question) => (
          <li key={question.id ?? "breakpoint"}>
            <span className="asked">{json(question.value)}</span>
            <input onChange={({ target }) => setAnswers({ ...answers, [question.id]: target.value })} />
            <button onClick={() => send([question])}>Answer</button>
          </li>
        ))}
      </ul>
      <button id="answer-all" onClick={() => send(interrupts)}>
        Answer all
      </button>
    </>
  );
}

/** Input and options of a submission, both as JSON. */
function Submit({ submit }) {
  return (
    <form
      id="form"
      onSubmit={(event) => {
        event.preventDefault();
        const { input, options } = event.target.elements;
        submit(JSON.parse(input.value), JSON.parse(options.value || "{}"));
      }}
    >
      <textarea name="input" />
      <textarea name="options" />
      <button id="submit">Send</button>
    </form>
  );
}
