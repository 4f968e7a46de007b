/**
 * The whole suite in one process, with one browser.
 */
import "./scenarios/text.js";
import "./scenarios/tools.js";
import "./scenarios/interrupts.js";
import "./scenarios/graphs.js";
import "./scenarios/reconnecting.js";
import "./scenarios/sending.js";
import "./scenarios/stopping.js";
import "./scenarios/custom.js";
import "./scenarios/errors.js";
import "./scenarios/chat_ui.js";
