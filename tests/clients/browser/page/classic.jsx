/**
 * `useStream` of the SDK itself, over the streams of runs.
 */
import { useState } from "react";
import { useStream } from "@langchain/langgraph-sdk/react";
import { View } from "./view.jsx";

export function Classic({ server, graph, thread, history, keepThread }) {
  const [shown, setShown] = useState({ custom: [], tools: [], namespaces: [] });
  const add = (list, item) => setShown((before) => ({ ...before, [list]: [...before[list], item] }));
  const seen = (namespace = []) =>
    setShown((before) => ({ ...before, namespaces: [...new Set([...before.namespaces, namespace.join("|")])] }));

  const stream = useStream({
    apiUrl: server,
    assistantId: graph,
    threadId: thread,
    onThreadId: keepThread,
    reconnectOnMount: true,
    fetchStateHistory: history === "true",
    onCustomEvent(data, { namespace }) {
      add("custom", data);
      seen(namespace);
    },
    onToolEvent: (data) => add("tools", data.event),
  });

  return (
    <View
      messages={stream.messages.map(({ id, type, content }) => ({ id, type, text: content }))}
      values={stream.values}
      loading={stream.isLoading}
      error={stream.error}
      interrupts={stream.interrupts}
      toolCalls={stream.toolCalls.map(({ id, call, state, result }) => ({
        id,
        name: call.name,
        state,
        result: result?.content,
      }))}
      toolEvents={stream.toolProgress.map(({ name, state }) => `${name} ${state}`)}
      custom={shown.custom}
      graphs={shown.namespaces.filter(Boolean).map((namespace) => ({ namespace }))}
      submit={(input, { optimistic, ...options }) =>
        stream.submit(input, { ...options, optimisticValues: optimistic && { ...stream.values, ...optimistic } })
      }
      answer={(answers) => stream.submit(undefined, { command: { resume: answers } })}
      stop={() => stream.stop()}
    />
  );
}
