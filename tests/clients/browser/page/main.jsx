/**
 * A page as an application has it: one conversation with one graph, whose thread stands in the address, so that it is
 * found again after a reload.
 */
import { createRoot } from "react-dom/client";
import { Classic } from "./classic.jsx";
import { Newest } from "./newest.jsx";

const address = new URL(location.href);
const asked = Object.fromEntries(address.searchParams);

function keepThread(thread) {
  address.searchParams.set("thread", thread);
  history.replaceState(null, "", address);
}

const Line = { classic: Classic, newest: Newest }[asked.line];
createRoot(document.getElementById("root")).render(<Line {...asked} keepThread={keepThread} />);
