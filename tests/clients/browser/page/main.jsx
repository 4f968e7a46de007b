/**
 * A page as an application has it: one conversation with one graph, whose thread stands in the address, so that it is
 * found again after a reload.
 */
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { Chat } from "./chat.jsx";
import { Classic } from "./classic.jsx";
import { Newest } from "./newest.jsx";

const address = new URL(location.href);
const asked = Object.fromEntries(address.searchParams);
const Line = { chat: Chat, classic: Classic, newest: Newest }[asked.line];

function Page() {
  const [thread, setThread] = useState(asked.thread);
  const keepThread = (created) => {
    address.searchParams.set("thread", created);
    history.replaceState(null, "", address);
    setThread(created);
  };
  return <Line {...asked} thread={thread} keepThread={keepThread} />;
}

createRoot(document.getElementById("root")).render(<Page />);
