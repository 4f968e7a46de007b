/**
 * The whole suite in one process, so that `coverage`, which comes last, has seen every call.
 */
import "./areas/assistants.js";
import "./areas/threads.js";
import "./areas/state.js";
import "./areas/subgraphs.js";
import "./areas/runs.js";
import "./areas/streams.js";
import "./areas/event_streams.js";
import "./areas/reconnecting.js";
import "./areas/crons.js";
import "./areas/store.js";
import "./areas/webhooks.js";
import "./areas/errors.js";
import "./areas/chat_ui.js";
import "./areas/coverage.js";
