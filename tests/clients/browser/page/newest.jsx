/**
 * `useStream` of the React package, over the event protocol.
 */
import { useMemo } from "react";
import { useChannel, useExtension, useMessages, useStream, useSubmissionQueue } from "@langchain/react";
import { View } from "./view.jsx";

export function Newest({ server, graph, thread, transport, keepThread }) {
  const stream = useStream({
    apiUrl: server,
    assistantId: graph,
    threadId: thread,
    onThreadId: keepThread,
    transport,
  });
  const custom = useChannel(
    stream,
    useMemo(() => ["custom"], []),
  );
  const progress = useExtension(stream, "progress");
  const queue = useSubmissionQueue(stream);

  return (
    <View
      messages={stream.messages.map(({ id, type, text }) => ({ id, type, text }))}
      values={stream.values}
      loading={stream.isLoading}
      error={stream.error}
      interrupts={stream.interrupts}
      toolCalls={stream.toolCalls.map(({ callId, id, name, status, output }) => ({
        id: id ?? callId,
        name,
        state: status,
        result: output,
      }))}
      toolEvents={[]}
      custom={custom.map(({ params }) => params.data)}
      progress={progress}
      graphs={[...stream.subgraphs.values()].map(({ namespace, status }) => ({
        namespace: namespace.join("|"),
        status,
        said: <Said stream={stream} namespace={namespace} />,
      }))}
      queued={queue.size}
      submit={(input, options) => stream.submit(input, options)}
      answer={(answers) => stream.respondAll(answers)}
      stop={() => stream.stop()}
    />
  );
}

/** What a graph inside says; asked for as long as this is shown. */
function Said({ stream, namespace }) {
  const messages = useMessages(stream, namespace);
  return messages.map(({ text }) => text).join(" / ");
}
