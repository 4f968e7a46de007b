/**
 * The whole suite in one process, with one browser.
 */
import "./scenarios/text.js";
import "./scenarios/tools.js";
import "./scenarios/interrupts.js";
