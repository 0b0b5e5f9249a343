// English: every text of every page.
//
// A further language is one file like this one, and a line in `all.js`. The type check
// (`npm run check` in `gateway/tests/js`) names each text that a language lacks.

import { durations } from "../shared/words/durations.js";
import { figuresOf } from "../shared/words/figures.js";
import { ORIGIN } from "../shared/connection/origin.js";

/** @typedef {import("../shared/words/wait.js").Wait} Wait */
/** @typedef {import("../shared/schemas.js").AppointmentStatus} Status */
/** @typedef {import("../shared/schemas.js").TicketState} TicketState */
/** @typedef {import("../console/lines.js").Action} Action */
/** @typedef {import("../dashboard/load.js").Band} Band */
/** @typedef {import("../runs/api.js").RunState} RunState */
/** @typedef {import("../runs/api.js").Severity} Severity */

const LOCALE = "en-CA";

const times = {
  ...durations({ hour: "h", minute: "min", second: "s" }),
  /** @param {string} from @param {string} until */
  span: (from, until) => `${from} to ${until}`,
};

const figures = figuresOf(LOCALE, times);

/** @param {number} count @param {string} one @param {string} many */
const counted = (count, one, many) => `${figures.number(count)} ${count === 1 ? one : many}`;

/** A wait that has only begun is more than nothing. @param {number} minutes */
const shortWait = (minutes) => (minutes ? times.minutes(minutes) : "<\u00a01\u00a0min");

/** A page that its server takes for a foreign one. @type {[string, string]} */
const origin = [
  "This address isn’t set up yet",
  `Your link is fine. The server doesn’t know that people reach it at ${ORIGIN}. For the ` +
    `person who runs it: have the proxy pass the Host header on unchanged, or start the ` +
    `gateway with --origin ${ORIGIN}.`,
];

// Somebody who has crossed into another organisation or location.
const crossing = {
  /** @param {string} tenant @param {string} time */
  tenant: (tenant, time) =>
    `You are viewing ${tenant} as a super admin until ${time}. Your reason is in its audit log.`,
  /** @param {string} location @param {string} time */
  location: (location, time) =>
    `Emergency access to ${location} until ${time}. ` +
    `Your reason and everything you open here are recorded.`,
};

// The connection of a page.
const connection = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  notConnected: "Not connected",
  finished: "Finished",
  /** A title and a text. */
  expired: [
    "This link has expired",
    "Links end after a while. The clinic, or whoever gave you this one, can give you a new one.",
  ],
  /** @param {string} time */
  changedAt: (time) => `last change ${time}`,
  /** @param {string} time */
  asOf: (time) => `as of ${time}`,
  /** @param {string} age */
  lost: (age) => `Connection lost ${age} ago. This page may be out of date; we keep trying.`,
  /** @param {string} age */
  stale: (age) => `No news for ${age}. This page may be out of date; we keep trying.`,
};

// States of appointments and tickets, as staff say them.
const states = {
  /** @type {Record<Status, string>} */
  statuses: {
    proposed: "Proposed",
    pending: "To be confirmed",
    booked: "Booked",
    arrived: "Arrived",
    "checked-in": "Checked in",
    fulfilled: "Completed",
    cancelled: "Cancelled",
    noshow: "No-show",
    "entered-in-error": "Entered in error",
    waitlist: "On the waiting list",
  },
  /** @type {Record<TicketState, string>} */
  tickets: {
    expected: "expected",
    waiting: "waiting",
    called: "called",
    in_service: "being seen",
    on_hold: "on hold",
    absent: "absent",
    leaving: "being moved",
    completed: "completed",
    no_show: "no-show",
    cancelled: "cancelled",
    left: "left",
    transferred: "moved",
  },
};

// A ticket, on the pages of tickets and appointments.
const ticket = {
  title: "Your place in line",
  yourTicket: "Your ticket",
  /** @param {number} ahead @returns {string} */
  ahead: (ahead) => (ahead === 1 ? "person ahead of you" : "people ahead of you"),
  next: "You’re next",
  nextHint: "Please stay close by.",
  wait: "Estimated wait",
  /** @param {Wait} wait */
  waitText: (wait) => {
    if (wait.kind === "soon") return "soon";
    if (wait.kind === "late") return "a little longer than expected";
    if (wait.kind === "within") return `within ${times.minutes(wait.high)}`;
    return wait.low === wait.high
      ? `about ${times.minutes(wait.low)}`
      : `about ${times.range(wait.low, wait.high)}`;
  },
  /** Why no wait can be shown. */
  noWait: {
    paused: "once the line moves again",
    no_open_station: "once a room is open",
    not_started: "not known yet",
  },
  paused: "The line is paused for the moment. You keep your place.",
  noRoom: "No room is open for this line right now. You keep your place.",
  closed:
    "This line takes no new tickets now, but you keep your place. Questions? Please ask at the " +
    "front desk.",
  overtaking: "Someone with an urgent need may be seen before you.",
  yourTurn: "It’s your turn",
  goTo: "Please go to",
  /** @param {string} time */
  calledAt: (time) => `Called at ${time}`,
  /** @param {string} time */
  recalledAt: (time) => `Called again at ${time}`,
  alert: "Alert me when I’m called",
  alertHint: "Plays a sound, and vibrates if your phone can. Keep this page open.",
  /** @param {string} reason */
  reason: (reason) => `Reason: ${reason}`,
  /** Reasons that the system itself gives. @type {Record<string, string>} */
  ends: {
    absent_too_long: "We waited for you, and you didn’t come back in time.",
    stale: "Nobody used this ticket for many hours.",
    day_ended: "The day at the clinic has ended.",
    check_in_undone: "The front desk has undone your check-in.",
    moved: "Your appointment has moved to another location.",
    moved_back: "Your place is at the location that you came from.",
  },
  /** @param {string} place */
  movingTo: (place) => `You’re being moved to ${place}`,
  /** Why there is no place in line to show: a title, and what it means for the patient. */
  notes: {
    in_service: ["You’re being seen", "There is nothing you need to do here for now."],
    on_hold: [
      "Your ticket is on hold",
      "The team will come back to it shortly. Questions? Please ask at the front desk.",
    ],
    absent: [
      "We called you",
      "We didn’t see you. If you’re here, press “I’m back”: you return to your place in line.",
    ],
    leaving: [
      "You’re being moved to another location",
      "You keep your place here until they have accepted.",
    ],
    completed: ["All done", "Thank you for coming. Take care."],
    no_show: [
      "We missed you",
      "You were called, and we didn’t see you. If you’re still here, please speak with the " +
        "front desk.",
    ],
    cancelled: [
      "This ticket was cancelled",
      "If you didn’t expect this, please speak with the front desk.",
    ],
    left: ["You’ve left the line", "Changed your mind? The front desk can give you a new ticket."],
    ended: [
      "This ticket has ended",
      "Do you still need to be seen? The front desk can give you a new ticket.",
    ],
    transferred: [
      "Your place has moved",
      "You’re expected at another location. The front desk can give you the link to your new " +
        "ticket.",
    ],
    missing: [
      "Open the link from your ticket",
      "This link doesn’t say which ticket to show. Please scan the code on your ticket again, " +
        "or ask at the front desk.",
    ],
    origin: origin,
    refused: [
      "This link no longer works",
      "It may have expired. The front desk can give you a new one and tell you your place in line.",
    ],
    expired: [
      "This link has expired",
      "Links end some time after the visit. Still waiting? The front desk can give you a new one " +
        "and tell you your place in line.",
    ],
    outdated: [
      "Your place may have changed",
      "We lost the connection over five minutes ago, and keep trying. Please listen for your " +
        "number, or ask at the front desk.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. Please listen for your number in the meantime.",
    ],
  },
};

// The actions of a patient on a ticket.
const actions = {
  leave: "I’m leaving",
  question: "Give up your place in line? Only the front desk can give you a new ticket.",
  keep: "Keep my place",
  confirm: "Yes, I’m leaving",
  back: "I’m back",
  slip: "Print this ticket",
  yield: "Let others go first",
  /** @param {number} places */
  yieldQuestion: (places) =>
    places === 1
      ? "Let the next person go before you? You cannot take this back yourself."
      : `Let up to ${places} people go before you? You cannot take this back yourself.`,
  yieldConfirm: "Yes, let them go first",
  /** Refusals. @type {Record<string, string>} */
  refusals: {
    yield_not_allowed: "You can’t let others go first any more. Please ask at the front desk.",
    nobody_behind: "Nobody is waiting behind you right now, so your place stays the same.",
    illegal_move: "This is not possible any more. Look at your ticket above.",
  },
  failed: "That didn’t work. Please try again, or tell the front desk.",
};

// Alerts of the browser on a patient's phone.
const phoneAlerts = {
  offer: "Alert this phone",
  hint: "When your turn is near and when you’re called, even if this page is closed.",
  on: "On. You’ll be alerted when your turn is near and when you’re called.",
  /** @type {Record<string, string>} */
  failures: {
    blocked: "Your browser blocks notifications from this page. Allow them in its settings.",
    push_service_unknown: "This browser’s notifications can’t be used here. Keep this page open.",
    too_many_devices: "This ticket already alerts three phones. Turn one of them off first.",
  },
  failed: "That didn’t work. Keep this page open, or try again.",
  messages: {
    near: "Your turn is near. Please come back to the waiting room.",
    called: "It’s your turn",
    goTo: "Go to",
    moved: "Your place in line has moved. Tap to see where.",
  },
};

// The slip of a ticket, to print.
const slip = {
  title: "Ticket slip",
  paper: "Paper",
  print: "Print",
  qr: "QR code of the ticket’s link",
  hint: "Follow your place in line: scan the code, or type",
  /** @param {string} time */
  issued: (time) => `Issued ${time}`,
};

// The page of an appointment.
const appointment = {
  title: "Your appointment",
  /** @param {string} doctor */
  withDoctor: (doctor) => `with ${doctor}`,
  /** A title, and what it means for the patient. @type {Record<Status, [string, string]>} */
  statuses: {
    proposed: ["Not booked yet", "This time is a suggestion. The clinic will confirm it."],
    pending: ["To be confirmed", "We’re holding this time for you until it is confirmed."],
    booked: ["Booked", "Please check in at the front desk when you arrive."],
    arrived: ["You’re here", "The clinic knows that you have arrived."],
    "checked-in": ["Checked in", "You’re in line."],
    fulfilled: ["All done", "Thank you for coming. Take care."],
    cancelled: ["Cancelled", "If you didn’t expect this, please call the clinic."],
    noshow: ["We missed you", "To book another appointment, please call the clinic."],
    "entered-in-error": [
      "This appointment doesn’t exist",
      "It was entered by mistake. Questions? Please call the clinic.",
    ],
    waitlist: ["On the waiting list", "The clinic will call you when a time opens up."],
  },
  /** @param {string} time */
  until: (time) => `until ${time}`,
  noTime: "No time set yet",
  late: "It’s time. Please check in at the front desk. If you can’t come, please call the clinic.",
  /** @param {string | undefined} doctor @param {number} minutes */
  delay: (doctor, minutes) => `${doctor ?? "The clinic"} is about ${minutes}\u00a0min behind.`,
  /** @param {string} place @param {boolean} opens @returns {[string, string]} */
  moved: (place, opens) => [
    `This appointment has moved to ${place}`,
    opens
      ? "It is not here any more. Please go there."
      : "It is not here any more. Please go there, and ask the clinic for your new link.",
  ],
  openMoved: "Open the new appointment",
  /** @param {string} place @returns {[string, string]} */
  moving: (place) => [
    `This appointment is being moved to ${place}`,
    "Nothing changes for you until they have accepted.",
  ],
  /** @param {string} reason */
  reason: (reason) => `Reason: ${reason}`,
  ticketSoon: "Your ticket is on its way…",
  notes: {
    missing: [
      "Open the link to your appointment",
      "This link doesn’t say which appointment to show. Please open the link from your message " +
        "again, or call the clinic.",
    ],
    refused: [
      "This link no longer works",
      "It may have expired. The clinic can give you a new one.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. Nothing about your appointment has changed because of this.",
    ],
  },
};

// The board of a waiting room.
const board = {
  title: "Waiting room",
  nowCalling: "Now calling",
  nobody: "No one is being called right now",
  waiting: "Waiting",
  recent: "Called earlier",
  moves: "Being moved",
  isNew: "New",
  again: "Again",
  paused: "paused",
  closed: "closed",
  soundOff: "Sound is off",
  startSound: "Turn sound on",
  soundOn: "Sound is on",
  /** @param {string} age */
  lost: (age) => `Not connected for ${age}. Calls may be missing.`,
  hidden: [
    "This screen is not up to date",
    "Please listen for your number, or ask at the front desk.",
  ],
  origin: origin,
  pair: [
    "This screen is not paired yet",
    "On the set-up page of the clinic, under “Screens”, type this code:",
  ],
  refused: [
    "This screen needs a new link",
    "Its link is missing or has expired. To know your place in line, please ask at the front desk.",
  ],
  /** @param {string} label @param {string} station */
  announce: (label, station) => `${label}: ${station}`,
  /** What a voice says. @param {string} label @param {string} station */
  speak: (label, station) => `Ticket ${label}. Please go to ${station}.`,
};

// The schedule of a doctor.
const schedule = {
  title: "Appointments",
  /** @param {number} all @param {number} here @param {number} over */
  summary: (all, here, over) =>
    `${all} ${all === 1 ? "appointment" : "appointments"}: ${all - here - over} to come, ` +
    `${here} here, ${over} over`,
  time: "Time",
  who: "Patient",
  status: "Status",
  ticket: "Ticket",
  inService: "Being seen",
  late: "late",
  /** @param {number} minutes */
  delay: (minutes) => `About ${minutes}\u00a0min behind`,
  onTime: "On time",
  noTime: "no time yet",
  nobody: "No appointments on this day.",
  /** @param {string} label @param {string} status */
  changed: (label, status) => `${label}: ${status}`,
  notes: {
    missing: [
      "Open the link you were given",
      "This link doesn’t say which doctor’s day to show. Your administrator can give you the " +
        "full one.",
    ],
    refused: [
      "This link doesn’t work here",
      "It may have expired, or it is for another doctor or location. Your administrator can " +
        "give you a new one.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. The schedule appears once we’re connected.",
    ],
    unknown: [
      "No appointments today",
      "This doctor has no appointments on this day. The schedule appears with the first one.",
    ],
  },
};

// The start page.
const start = {
  /** By the `data-text` of an element. */
  sentences: {
    headline: "Everyone in the clinic knows what comes next.",
    lead:
      "Patients see their place in line, the waiting room sees who is called, and clinicians " +
      "see how busy the day is, the moment it changes.",
    demo:
      "This demo is live: simulated patients arrive, wait and are seen. Every name, number " +
      "and claim is made up.",
    "no-demo":
      "These pages open with a link or a code that the clinic gives. Without one, each says " +
      "where to get it.",
    desk: "Front desk",
    "desk-title": "Be the front desk",
    "desk-text":
      "Open some of the pages below side by side. Then press a button here, and watch every " +
      "page follow.",
    line: "Line",
    room: "Room",
    call: "Call next",
    appointment: "Appointment",
    "check-in": "Check in",
    "desk-console": "Open the front desk’s console",
    "analytics-link": "See the figures",
    "bare-analytics-link": "See the figures",
    "setup-link": "Set the clinic up",
    "bare-setup-link": "Set the clinic up",
    reception: "Open the front desk’s dashboard",
    patients: "Patients",
    "ticket-title": "A ticket",
    "ticket-text":
      "One ticket, without an app or an account: how many people are ahead, the estimated " +
      "wait, and a clear call with the room to go to.",
    "ticket-link": "Follow a ticket",
    "appointment-title": "An appointment",
    "appointment-text":
      "The time, whether the doctor is running late, and after check-in the place in line, " +
      "all on one page.",
    "appointment-link": "Follow an appointment",
    "sample-ahead": "3 ahead",
    "sample-time": "10:20 a.m.",
    "sample-state": "booked",
    "sample-room": "Room 3",
    "sample-1": "9:20 a.m.",
    "sample-2": "9:40 a.m.",
    "sample-3": "10:00 a.m.",
    "sample-seen": "being seen",
    "sample-here": "checked in",
    "sample-booked": "booked",
    waiting: "Waiting room",
    "board-title": "The waiting-room screen",
    "board-text":
      "Who is called and where to go, readable across the room, with a soft chime. Numbers " +
      "and rooms only: never a name, a reason or a doctor.",
    "board-link": "Open the screen",
    clinicians: "Clinicians",
    "waiting-word": "waiting",
    "dashboard-title": "The dashboard",
    "dashboard-text":
      "How busy the clinic is: who waits where and for how long, which rooms are free, and " +
      "what is still due today. Figures change at most once a second, and freeze when you " +
      "press Pause.",
    "dashboard-link": "Open the dashboard",
    "console-link": "Call and see patients",
    "schedule-title": "A doctor’s schedule",
    "schedule-text":
      "One doctor’s appointments today: who is here, who is late, who was called, and how far " +
      "behind the day is.",
    "schedule-link": "Open the schedule",
    billing: "Billing",
    errors: "12 errors",
    "claims-title": "Claims checks",
    "claims-text":
      "A month of claims, checked while you watch: errors to fix and possible missed billing, " +
      "each with its row and its rule, and never a patient’s name.",
    "claims-link": "Check a claims file",
    sample: "Download a sample file",
    watch: "Watch as a viewer",
    "lost-title": "Nothing is lost",
    "lost-text":
      "When a phone sleeps, a server fails or a whole building reconnects at once, every " +
      "screen picks up where it was.",
    "stale-title": "Never silently out of date",
    "stale-text": "If the connection drops, the page says so, and since when.",
    "private-title": "Nobody sees what isn’t theirs",
    "private-text":
      "Patients see their own place and nobody else’s. The key in a link never reaches a " +
      "server’s log.",
    terminal: "For developers: follow the waiting room from a terminal",
    "terminal-text": "The token in this command opens this demo only.",
  },
  title: "Clinicwire – live pages for a clinic",
  moreTickets: "More tickets of the demo",
  command: "Command",
  promises: "What Clinicwire promises",
  /** @param {number} ahead */
  ahead: (ahead) => (ahead ? `${ahead} ahead` : "next"),
  /** @param {number} waiting */
  waitingNow: (waiting) => `${waiting} waiting now`,
  /** @param {number} minutes */
  longestWait: (minutes) => `longest wait ${minutes ? times.minutes(minutes) : "under 1\u00a0min"}`,
  nobodyWaits: "nobody is waiting",
  /** @param {number} minutes */
  behind: (minutes) => (minutes ? `${minutes}\u00a0min behind` : "on time"),
  /** @param {string} name @param {number} waiting */
  queueOption: (name, waiting) => `${name} (${waiting} waiting)`,
  /** @type {Record<string, string>} */
  stationStates: { idle: "free", busy: "in use", closed: "closed" },
  /** @param {string} text */
  late: (text) => `${text} (late)`,
  /** @param {string} label @param {string} room */
  called: (label, room) =>
    `${label} was called to ${room}. See the phone, the screen and the dashboard.`,
  /** @param {string} label */
  checkedIn: (label) =>
    `Checked in with ticket ${label}. See the schedule, the phone and the dashboard.`,
  /** @type {Record<string, string>} */
  refusals: {
    queue_empty: "Nobody is waiting in that line. Choose another one, or wait for someone to come.",
    queue_paused: "That line is paused. Choose another one.",
    queue_not_open: "That line is closed. Choose another one.",
    location_full: "Too many people are waiting here already. Try again in a moment.",
    station_closed: "That room is closed. Choose another one.",
    station_busy:
      "Someone was just called to that room and hasn’t come in yet. Choose another one.",
    already_checked_in: "That appointment is already checked in. Choose another one.",
    appointment_over: "That appointment is over. Choose another one.",
    no_appointment: "That appointment no longer exists. Choose another one.",
    too_early: "It’s too early to check in for that appointment. Choose an earlier one.",
    appointment_expired: "The time to check in for that appointment has passed. Choose another.",
    wrong_location: "That appointment is at another location. Choose another one.",
    too_many_visits: "That appointment was checked in too often. Choose another one.",
    unreachable: "We can’t reach the clinic right now. Please try again in a moment.",
  },
  /** @param {string} code */
  failed: (code) => `That didn’t work (${code}). Please try again in a moment.`,
};

// The console of reception and clinicians.
const console = {
  age: times.age,
  title: "Console",
  room: "My room",
  chooseRoom: "Choose your room",
  callNext: "Call next",
  /** Short, for the buttons of a line. */
  next: "Next",
  find: "Find a label",
  nobody: "Nobody is in this line.",
  /** @param {number} count */
  more: (count) => `and ${count} more: find them by label`,
  /** @param {number} count */
  waiting: (count) => `${count} waiting`,
  /** @param {number} level */
  urgent: (level) => `priority ${level}`,
  unsure: "sending…",
  roomEmpty: "Nobody is called to this room.",
  selected: "Selected",
  noneSelected: "Select a person in a line, or find a label.",
  printSlip: "Print the slip",
  checkIn: "Check in by appointment",
  /** @param {string} label */
  checkedIn: (label) => `Checked in: ${label}.`,
  missed: "missed",
  /** @param {string} why */
  override: (why) =>
    `${why} To check in anyway, say why. Your reason is shown in the line and kept in the ` +
    `audit log.`,
  /** @param {string} why */
  overridden: (why) => `checked in outside the usual time: ${why}`,
  flags: "Suspicious scans",
  flagsHint: "Somebody may be using other people’s codes. See who is at the check-in point.",
  flagsSeen: "Seen",
  /** @type {Record<"two_places" | "many_codes", (times: number) => string>} */
  flagKinds: {
    two_places: (times) => `one code was tried at two places${times > 1 ? `, ${times} times` : ""}`,
    many_codes: (times) => `many wrong codes from one device${times > 1 ? `, ${times} times` : ""}`,
  },
  issue: "New ticket",
  /** @param {string} label */
  issued: (label) => `Ticket ${label} was issued.`,
  /** @param {string} label @param {string} room */
  calledTo: (label, room) => `${label} was called to ${room}.`,
  /** @param {string} label @param {string} what */
  did: (label, what) => `${label}: ${what}`,
  /** @param {string} label */
  moved: (label) => `${label} has a new place in line.`,
  /** @param {string} label */
  notFound: (label) => `Nobody with the label “${label}” is in a line.`,
  /** @param {string} time */
  readOnly: (time) => `Not connected since ${time}: you can read this page, but not change it.`,
  back: "Connected again.",
  noRoom: "Choose your room first.",
  /** @param {string} label */
  force: (label) =>
    `${label || "Somebody"} is still called to your room. Mark as absent, and call anyway?`,
  noMove: "This person can’t move there: a higher priority always goes first.",
  shortcuts: "Keyboard shortcuts",
  close: "Close",
  cancel: "Cancel",
  ok: "OK",
  /** @type {Record<Action, string>} */
  actions: {
    call: "Call",
    recall: "Call again",
    start: "Start",
    complete: "Done",
    hold: "Put on hold",
    resume: "Back in line",
    absent: "Absent",
    return: "Is back",
    "no-show": "No-show",
    transfer: "Other line…",
    prioritise: "Priority…",
    cancel: "Cancel ticket",
    revert: "Undo",
  },
  /** @type {Record<"open" | "close" | "pause" | "resume", string>} */
  queueActions: { open: "Open", close: "Close", pause: "Pause", resume: "Resume" },
  /** @type {Record<"open" | "close", string>} */
  roomActions: { open: "Open room", close: "Close room" },
  /** @type {Record<"open" | "paused" | "closed", string>} */
  queueStates: { open: "open", paused: "paused", closed: "closed" },
  /** @type {Record<string, string>} */
  states: {
    expected: "expected",
    waiting: "waiting",
    called: "called",
    in_service: "being seen",
    on_hold: "on hold",
    absent: "absent",
    leaving: "being moved",
    ended: "no longer in line",
  },
  asks: {
    doctor: "With which doctor?",
    appointment: "Which appointment?",
    hold: "Why? (staff and the patient see it)",
    transfer: "To which line?",
    prioritise: "Which priority? 9 is called first, 0 is routine.",
    priorityReason: "Why? (only staff see it)",
    pause: "Why, or until when? (everybody in this line sees it)",
    cancel: "Why? (staff and the patient see it)",
  },
  keys: {
    checkIn: "Check in by appointment",
    move: "Up and down",
    reorder: "Move up or down in line",
    find: "Find a label",
    issue: "New ticket in this line",
    queue: "Open or close this line",
    pause: "Pause or resume this line",
    room: "Open or close my room",
    sheet: "This sheet",
  },
  /** Refusals. @type {Record<string, string>} */
  refusals: {
    too_early: "Check-in for this appointment has not begun.",
    appointment_expired: "The time to check in for this appointment has passed.",
    appointment_over: "This appointment was missed or is over.",
    already_checked_in: "This patient is already checked in.",
    no_appointment: "This doctor has no open appointment today.",
    wrong_location: "This appointment has moved to another location.",
    illegal_move: "Somebody else was faster: that is no longer possible. See the line.",
    station_busy: "Somebody is still called to your room. Start, or mark as absent first.",
    station_closed: "Your room is closed. Open it first.",
    queue_empty: "Nobody is waiting.",
    queue_paused: "The line is paused. Resume it first.",
    queue_not_open: "The line is closed. Open it first.",
    queue_full: "The line is full. Choose another one.",
    location_full: "The clinic is full. No more tickets for now.",
    nothing_to_revert: "There is nothing to undo.",
    ticket_unknown: "This ticket is over.",
    forbidden: "Your role may not do this.",
    moving: "This person is being moved to another location. Wait until it has answered.",
    unreachable: "No answer came. Check the line before you try again.",
    token_expired: "Your sign-in has ended. Open the page with a new link.",
  },
  /** @param {string} code */
  refused: (code) => `This was not done (${code}).`,
  notes: {
    missing: [
      "Open the link you were given",
      "This link doesn’t say which clinic to show. Your administrator can give you the full one.",
    ],
    refused: [
      "This link doesn’t work here",
      "It may be for another location or another role. Your administrator can give you a new one.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. The lines appear once we’re connected.",
    ],
  },
};

// The dashboard.
const dashboard = {
  title: "Dashboard",
  minutes: shortWait,
  now: "Right now",
  waiting: "Waiting",
  waitingHint: "in all lines",
  longest: "Longest wait",
  median: "Median wait",
  medianHint: "half have waited longer than this",
  called: "Called",
  served: "Served",
  lastHour: "in the last hour",
  /** @param {string} time */
  since: (time) => `since ${time}`,
  nobodyWaits: "nobody is waiting",
  /** @type {Record<Band, string>} */
  bands: { 0: "", 1: "high", 2: "very high" },
  queues: "Lines",
  queue: "Line",
  state: "State",
  /** @type {Record<"open" | "paused" | "closed", string>} */
  queueStates: { open: "Open", paused: "Paused", closed: "Closed" },
  urgency: "By urgency",
  /** @param {number} count */
  routine: (count) => `${count}\u00a0routine`,
  /** @param {number} count @param {number} [level] named where there are several */
  urgent: (count, level) => `${count}\u00a0urgent${level ? ` (level\u00a0${level})` : ""}`,
  /** @type {Record<import("../dashboard/load.js").QueueFilter, string>} */
  queueFilters: { all: "All", waiting: "Waiting", high: "High" },
  /** @param {string} title */
  filterOf: (title) => `Show: ${title}`,
  noneShown: "None right now.",
  stations: "Rooms and counters",
  /** @type {Record<"idle" | "busy" | "closed", string>} */
  stationStates: { idle: "Free", busy: "In use", closed: "Closed" },
  all: "All",
  /** @param {string} labels */
  withText: (labels) => `with ${labels}`,
  /** @param {number} busy @param {number} open */
  stationsBusy: (busy, open) => `${busy} of ${open} open rooms in use`,
  none: "None yet.",
  appointments: "Appointments today",
  due: "Due",
  late: "Late (of those due)",
  arrived: "Arrived",
  fulfilled: "Completed",
  noShow: "No-shows",
  cancelled: "Cancelled",
  curve: "Today by quarter hour",
  curveArrived: "Arrived",
  curveServed: "Served",
  curveCalled: "Called",
  curveBooked: "Booked",
  curveTime: "Time",
  curveNow: "now",
  /** @param {number} arrived @param {number} served @param {number} booked */
  curveSummary: (arrived, served, booked) =>
    `${counted(arrived, "person", "people")} arrived, ${served} served, ` +
    `${counted(booked, "appointment", "appointments")} booked.`,
  asTable: "Show as a table",
  facts: "Updates from other systems today",
  /** @param {number} ignored @param {number} all */
  factsText: (ignored, all) =>
    `${counted(all, "update", "updates")} received from other systems today` +
    (ignored ? `; ${ignored} ignored in whole or in part` : ""),
  /** @param {number} repeated @param {number} stale @param {number} overruled */
  factsParts: (repeated, stale, overruled) =>
    `${repeated} already known, ${stale} out of date, ${overruled} overridden by the front desk`,
  pause: "Pause",
  resume: "Resume",
  /** @param {string} time */
  // English times end in a full stop of their own: "p.m."
  paused: (time) => `Paused at ${time}${time.endsWith(".") ? "" : "."} Figures are frozen.`,
  /** @param {number} changes @param {number} shown @param {number} waiting */
  meanwhile: (changes, shown, waiting) => {
    const moved = shown === waiting ? "" : ` Waiting is now ${waiting}, not ${shown}.`;
    return changes
      ? `Since then, ${counted(changes, "entry has", "entries have")} changed.${moved}`
      : "Nothing has changed since.";
  },
  /** @param {number} waiting @param {string | undefined} longest */
  say: (waiting, longest) =>
    `${counted(waiting, "person is", "people are")} waiting` +
    `${longest ? `, longest wait ${longest}` : ""}.`,
  notes: {
    missing: [
      "Open the link you were given",
      "This link doesn’t say which location to show. Your administrator can give you the full one.",
    ],
    refused: [
      "This link doesn’t work here",
      "It may have expired, or it is for another location. Your administrator can give you a new " +
        "one.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. Live figures appear once we’re connected.",
    ],
  },
};

// The set-up of a clinic.
const setup = {
  title: "Set-up",
  /** Captions of fields and sections, by their names in the page. @type {Record<string, string>} */
  labels: {
    location: "Clinic",
    privacy: "Privacy",
    queues: "Lines",
    rooms: "Rooms",
    displays: "Screens",
    points: "Check-in points",
    moveTo: "People in it go to",
    shows: "This screen is",
    pointsHint:
      "Patients check themselves in here: by scanning a printed code with their phone, or at a " +
      "kiosk. A phone can lie about where it is: a limit on the distance only keeps honest " +
      "people from " +
      "checking in at home.",
    newPoint: "New check-in point",
    pointKind: "Kind",
    poster: "Poster with a code",
    kiosk: "Kiosk",
    factor: "Besides the booking code, patients enter",
    birthYear: "Year of birth",
    birthDate: "Date of birth",
    phoneEnd: "Last four digits of the phone number",
    noFactor: "Nothing: the code is enough",
    walkIns: "Without an appointment, patients may take a ticket in",
    place: "Only near this place (empty: anywhere)",
    latitude: "Latitude (such as 45.5017)",
    longitude: "Longitude (such as -73.5673)",
    radius: "Within how many metres (50 to 10,000)",
    messages: "Messages",
    branding: "Colour and logo",
    name: "Name",
    id: "Id in web addresses (a to z, 0 to 9 and -)",
    address: "Address (patients see it)",
    zone: "Time zone",
    languages: "Languages, the main one first (such as fr, en)",
    callOrder: "Who is called first",
    byArrival: "The first to arrive",
    byAppointment: "The earliest appointment",
    timers: "Times, in minutes",
    absentGrace: "An absent patient may come back within",
    stale: "A forgotten ticket ends after",
    checkInEarly: "Check-in opens before an appointment",
    noShow: "A missed appointment ends after",
    callGrace: "A late patient keeps the turn for",
    dayStart: "The day of the clinic starts at",
    dayEnds: "Tickets end with the day",
    bands: "When the dashboard marks a line (empty: never)",
    waitingHigh: "High: people waiting",
    waitingVeryHigh: "Very high: people waiting",
    waitHigh: "High: minutes of the longest wait",
    waitVeryHigh: "Very high: minutes of the longest wait",
    privacyHint: "Labels are always shown. Each change here is kept in the audit log.",
    linesShow: "Staff see in the lines",
    boardsShow: "Everybody in the waiting room sees on the screens",
    showStart: "Time of the appointment",
    showDoctor: "Doctor",
    showName: "Initials",
    showWaiting: "How many people wait",
    showEarlier: "Earlier calls",
    newQueue: "New line",
    prefix: "Letters of its tickets (such as A)",
    service: "Minutes per patient",
    maxTickets: "People in line, at most",
    newRoom: "New room",
    serves: "Calls from",
    everyQueue: "Every line",
    displaysHint:
      "Open the page /board on the screen. It shows a code: type it here to pair the screen.",
    code: "Code on the screen",
    screenName: "Name of the screen",
    messagesHint:
      "The screens show these in turn, at the bottom. Leave a field empty to remove it.",
    organisation: "Organisation (above the name of the clinic)",
    ownColour: "Use our own colour",
    colour: "Colour",
    logo: "Logo (SVG or PNG, at most 64 KB)",
  },
  newClinic: "New clinic",
  newClinicHint:
    "Lines, rooms and screens come next. The id stays as it is; everything else can be changed.",
  create: "Create the clinic",
  /** Refusals of a new clinic. @type {Record<string, string>} */
  creation: {
    settings_changed: "A clinic with this id exists. Choose another id, or open that clinic.",
    forbidden: "Your sign-in may not create this clinic. An administrator of all clinics can.",
  },
  save: "Save",
  reset: "Undo my changes",
  saving: "Saving…",
  saved: "Saved.",
  pair: "Pair the screen",
  rename: "Rename",
  conflict: "Somebody else has changed this in the meantime:",
  theirs: "Use their values",
  mine: "Keep mine",
  on: "yes",
  off: "no",
  nothing: "nothing",
  /** @param {string} field @param {string} from @param {string} to */
  changed: (field, from, to) => `${field}: ${from} → ${to}`,
  up: "Up",
  down: "Down",
  open: "Open",
  close: "Close",
  /** @type {Record<"open" | "paused" | "closed", string>} */
  states: { open: "open", paused: "paused", closed: "closed" },
  /** @param {string} day */
  pairedOn: (day) => `Paired on ${day}`,
  unpair: "Remove",
  unpairSure: "Yes, remove it",
  keep: "Keep it",
  nobody: "nowhere: the line is empty",
  showsBoard: "A screen with the calls",
  /** @param {string} point */
  isKiosk: (point) => `Kiosk “${point}”`,
  /** @param {string} day */
  codeSince: (day) => `Its code is from ${day}`,
  outOfUse: "Out of use: nobody can check in here",
  printSheet: "Print the sheet",
  newCode: "New code",
  newCodeSure: "Yes: printed sheets stop working",
  revoke: "Take out of use",
  revokeSure: "Yes: nobody can check in here any more",
  useAgain: "Use again, with a new code",
  /** @param {number} number @param {string} language */
  message: (number, language) => `Message ${number}, ${language}`,
  samples: { light: "Light", dark: "Dark" },
  /** @param {string} scheme @param {string} own @param {boolean} same @param {string} ratio */
  contrast: (scheme, own, same, ratio) =>
    same
      ? `${scheme}: used as it is; its text has a contrast of ${ratio}:1.`
      : `${scheme}: your colour has only ${own}:1, so pages use a readable shade of it ` +
        `(text ${ratio}:1).`,
  logoNow: "The logo as pages show it",
  removeLogo: "Remove the logo",
  notALogo: "Choose a PNG, or an SVG without scripts or links.",
  /** Refusals. @type {Record<string, string>} */
  refusals: {
    settings_changed: "Somebody else changed this first. What changed is shown above.",
    prefix_taken: "Another line uses these letters.",
    bad_id: "The id may have up to 40 characters: a to z without accents, 0 to 9, and hyphens.",
    bad_zone: "There is no such time zone. Choose one from the list, such as America/Toronto.",
    bad_languages: "Languages are codes such as fr, en or fr-CA. There can be ten at most.",
    invalid_value: "One of the values is not possible. Check the numbers and the time zone.",
    forbidden: "Your role may not change this.",
    queue_not_empty: "People are in this line. Choose where they go.",
    queue_too_long: "More than 500 people are in this line. Remove it when it is shorter.",
    queue_not_open: "That line is closed. Open it first, or choose another one.",
    station_busy: "Somebody is called to this room or is in it. Finish with them first.",
    pairing_unknown: "No screen shows this code. Codes change every ten minutes.",
    pairing_taken: "This screen is already paired.",
    too_large: "The file is larger than 64 KB.",
    unreachable: "No answer came, and your change may not be saved. Check before you try again.",
    token_expired: "Your sign-in has ended. Open the page with a new link.",
  },
  /** @param {string} code */
  refused: (code) => `This was not saved (${code}).`,
  notes: {
    missing: [
      "Open the link you were given",
      "This link doesn’t say which clinic to set up. Your administrator can give you the full one.",
    ],
    unknown: [
      "There is no clinic with this id",
      "Create it below, or ask your administrator for the link of the clinic you want to set up.",
    ],
    refused: [
      "This link doesn’t work here",
      "Only an administrator of this clinic can set it up. Ask for a link with that role.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. The settings appear once we’re connected.",
    ],
  },
};

// The checks of claims files.
const runs = {
  ...figures,
  title: "Claims checks",
  opening: "Opening the check…",
  back: "All checks",
  intake: "Check a claims file",
  intakeHint:
    "Use the billing export from your software (CSV). The file is deleted after the check, and " +
    "findings never name a patient.",
  watchHint: "You can watch checks here. To start a check you need an editor link.",
  drop: "Drop the file here",
  or: "or",
  choose: "Choose a file",
  listPasses: "Also list rows that passed",
  oneFile: "Please send one file at a time. Nothing was sent.",
  /** @param {string} sent @param {string} size */
  uploaded: (sent, size) => `${sent} of ${size} sent`,
  arriving: "Sent. The server is storing it…",
  uploadTitle: "Sending",
  stop: "Stop",
  recent: "Recent checks",
  noRecent: "No checks yet.",
  refresh: "Refresh",
  more: "Show more",
  /** @type {Record<RunState, string>} */
  states: {
    queued: "Waiting",
    running: "Running",
    completed: "Finished",
    failed: "Failed",
    cancelled: "Cancelled",
  },
  cancelling: "Stopping",
  /** @param {number | undefined} ahead */
  queued: (ahead) => {
    if (ahead === undefined) return "In line to be checked.";
    return ahead ? `${counted(ahead, "check", "checks")} ahead of this one.` : "Next in line.";
  },
  cancellingText: "The check stops in a moment.",
  cancelled: "The check was stopped before it finished.",
  /** @param {number} rows @param {string} took */
  completed: (rows, took) => `${counted(rows, "row", "rows")} checked in ${took}.`,
  /** @param {number} rows */
  unreadable: (rows) =>
    `${counted(rows, "row", "rows")} could not be read; ` +
    `${rows === 1 ? "it is" : "they are"} listed below.`,
  /** @param {number} attempt */
  attempt: (attempt) =>
    `${attempt === 2 ? "Second attempt" : `Attempt ${attempt}`}. The one before did not finish, ` +
    `so everything is counted again.`,
  phases: {
    reading: "Reading rows",
    concluding: "Adding up days and years",
    storing: "Storing the findings",
  },
  starting: "Starting…",
  rows: "Rows",
  /** @param {number} done @param {number | undefined} total */
  rowsOf: (done, total) =>
    total === undefined
      ? figures.number(done)
      : `${figures.number(done)} of ${figures.number(total)}`,
  rate: "Speed",
  /** @param {number} rows */
  rateText: (rows) => `${figures.number(rows)} rows/s`,
  timeLeft: "Time left",
  /** @param {number} ms */
  left: (ms) => `about ${times.left(ms)}`,
  /** @param {number} permille */
  percentText: (permille) => `${figures.percent(permille)}%`,
  cancel: "Cancel the check",
  retry: "Try again",
  another: "Check another file",
  /** @type {Record<Severity, string>} */
  severities: {
    error: "Errors",
    warning: "Warnings",
    optimisation: "Missed billing",
    pass: "Passed",
  },
  /** @type {Record<Severity, string>} */
  severity: {
    error: "Error",
    warning: "Warning",
    optimisation: "Missed billing",
    pass: "Passed",
  },
  kind: "Kind",
  all: "All",
  atRisk: "At risk",
  toGain: "Possible missed billing",
  /** @param {number} errors */
  errors: (errors) => counted(errors, "error", "errors"),
  /** @param {string} money */
  atRiskOf: (money) => `${money} at risk`,
  /** @param {string} money */
  toGainOf: (money) => `${money} possibly missed`,
  rules: "Rules",
  rule: "Rule",
  /** @param {number} done @param {number} all */
  rulesDone: (done, all) => `${figures.number(done)} of ${figures.number(all)} finished`,
  fileRule: "Readable file",
  time: "Time",
  notYet: "not finished",
  findings: "Findings",
  firstFindings: "First findings",
  firstHint:
    "The first 100, in the order they are found. The full list appears when the check ends.",
  partHint: "Found before the check ended; the list is not complete.",
  rowHint: "Row 1 is the first row below the header: row 2 in your spreadsheet.",
  row: "Row",
  wholeFile: "all",
  what: "What was found",
  amount: "Amount",
  show: "Show",
  everyRule: "Every rule",
  export: "Download as CSV",
  exporting: "Preparing…",
  /** @param {number} count @param {boolean} whole */
  shown: (count, whole) => {
    if (whole) return count === 1 ? "1 finding" : `${figures.number(count)} findings, all shown`;
    return count === 1 ? "Showing the first one" : `Showing the first ${figures.number(count)}`;
  },
  /** @param {number} stored */
  capped: (stored) =>
    `There were more findings than we keep: this is the first ${figures.number(stored)}.`,
  nothingYet: "Nothing found so far.",
  nothing: "Nothing to report: every rule passed.",
  nothingLikeThis: "No findings of this kind.",
  /** @param {string} column @param {string} line @param {string} byte */
  where: (column, line, byte) =>
    [column && `Column “${column}”`, line && `spreadsheet row ${line}`, byte && `byte ${byte}`]
      .filter(Boolean)
      .join(", "),
  retryHint: "Trying again may help.",
  newFileHint: "Please export the file again and send the new one.",
  /** @type {Record<string, string>} */
  failures: {
    file_not_an_export:
      "This isn’t a claims export: a required column is missing, or appears twice.",
    file_no_header: "This isn’t a claims export: the first row isn’t a claims-export header.",
    file_not_text: "This isn’t a text file. Export it as CSV, not as a spreadsheet or a PDF.",
    file_malformed:
      "We can’t tell the rows apart: a quotation mark is never closed, or a row is far too long.",
    file_empty: "The file is empty.",
    file_unknown: "The file is no longer there. Please send it again.",
    run_worker_lost: "The server that was checking the file stopped at every attempt.",
    run_faulted: "Something went wrong on our side. There may be nothing wrong with your file.",
  },
  failedOtherwise: "The check could not be done.",
  /** @type {Record<string, string>} */
  problems: {
    network: "We can’t reach the server. Please check your connection and try again.",
    upload_broken:
      "The file did not arrive in full: the connection failed, or the file is larger than " +
      "allowed. Please try again, or export a shorter period.",
    too_large: "The file is larger than allowed. Please export a shorter period.",
    file_empty: "The file is empty, so nothing was sent. Please export it again.",
    checksum_mismatch: "The file was damaged on its way. Please send it again.",
    file_unknown: "The file is no longer there. Please send it again.",
    forbidden: "Your link doesn’t allow this. To do it you need an editor link.",
    token_expired: "Your link has expired. Your administrator can give you a new one.",
    run_over: "This check has already ended.",
    run_not_retryable: "This check can’t be tried again. Please send the file again.",
    try_again: "The server is busy. Please try again in a moment.",
    draining: "The server is restarting. Please try again in a moment.",
  },
  /** @param {string} code */
  problem: (code) =>
    `That didn’t work (${code}). Please try again. If it keeps happening, contact your ` +
    `administrator.`,
  /** @param {string} age */
  lost: (age) =>
    `Connection lost ${age} ago. The check continues, but this page may be out of date.`,
  /** @param {string} age */
  stale: (age) => `No news for ${age}. The check continues, but this page may be out of date.`,
  /** @type {Record<"missing" | "origin" | "refused" | "gone" | "unreachable", [string, string]>} */
  notes: {
    missing: [
      "Open the link you were given",
      "This page needs your personal link. Your administrator can give it to you.",
    ],
    origin: origin,
    refused: [
      "This link doesn’t open claims checks",
      "It may have expired, or it may be for a different page. Your administrator can give you a " +
        "new one.",
    ],
    gone: [
      "This check can’t be opened",
      "Checks are kept for about a day, and your link opens only your own. You may need to send " +
        "the file again.",
    ],
    unreachable: [
      "We can’t reach the server right now",
      "We keep trying. A check that has started continues in the meantime.",
    ],
  },
};

// The figures of a clinic.
const analytics = {
  title: "Figures",
  period: "Period",
  group: "By",
  export: "Save as CSV",
  table: "Show as a table",
  /** @type {Record<string, string>} */
  periods: { today: "Today", week: "Last 7 days", month: "Last 30 days" },
  /** @type {Record<string, string>} */
  groups: { queue: "Line", doctor: "Doctor", hour: "Hour", day: "Day" },
  /** @param {string} from @param {string} until */
  days: (from, until) => `${from} to ${until}`,
  number: figures.number,
  /** @param {number} share */
  percent: (share) => `${share}%`,
  /** @param {number} seconds */
  duration: (seconds) => times.age(seconds * 1000),
  totals: {
    tickets: "Tickets",
    wait: "Half waited at most",
    longWait: "9 of 10 waited at most",
    service: "Average visit",
    abandoned: "Left or didn’t answer",
    missed: "Missed appointments",
    peak: "Busiest hour",
  },
  charts: {
    arrivals: "Tickets",
    waits: "Waits before the first call",
    services: "Length of visits",
    abandoned: "Left or didn’t answer the call",
    leads: "Missed appointments, by how long ago they were booked",
    methods: "How people checked in",
  },
  /** @type {Record<string, string>} */
  series: {
    tickets: "Tickets",
    half: "Half, at most",
    most: "9 of 10, at most",
    share: "Share",
  },
  /** The titles of first columns. @type {Record<string, string>} */
  keys: { leads: "Booked", methods: "Way" },
  /** @type {Record<string, (key: string) => string>} */
  keyNames: {
    leads: (days) => (days === "0" ? "the same day" : `${days}+ days before`),
    methods: (method) =>
      ({
        desk: "Front desk",
        poster: "Poster",
        kiosk: "Kiosk",
        transfer: "From another location",
        program: "Another program",
      })[method] ?? method,
  },
  /** @type {Record<string, string>} */
  none: { queue: "No line", doctor: "Without an appointment" },
  nothing: "Nothing happened in this period.",
  problem: "These figures couldn’t be read. Try again in a moment.",
  forbidden: "Only the front desk and administrators see these figures.",
  notes: {
    missing: [
      "Open the link you were given",
      "This link doesn’t say which clinic to show. Your administrator can give you the full one.",
    ],
    refused: [
      "This link doesn’t work here",
      "It may have expired, or it is for another location. Only the front desk and " +
        "administrators see these figures.",
    ],
    unreachable: [
      "We can’t reach the clinic right now",
      "We keep trying. The figures appear once we’re connected.",
    ],
  },
};

export const en = {
  /** The name of the language in the language itself, and its mark on the switch. */
  name: "English",
  mark: "EN",
  /** What screen readers call the switch. */
  switch: "Language",
  /** Decides how times and numbers are written. */
  locale: LOCALE,
  /** The language of messages of findings, which the server writes. @type {"fr" | "en"} */
  findings: "en",
  times,
  origin,
  crossing,
  connection,
  states,
  ticket,
  actions,
  phoneAlerts,
  slip,
  appointment,
  board,
  schedule,
  start,
  console,
  dashboard,
  analytics,
  setup,
  runs,
  scan: {
    title: "Check in",
    intro: "Enter the code of your appointment. It’s in the message that confirmed it.",
    code: "Appointment code",
    factor: {
      birth_year: "Year of birth",
      birth_date: "Date of birth",
      phone_end: "Last 4 digits of your phone number",
      none: "",
    },
    factorHint: {
      birth_year: "For example 1980",
      birth_date: "Year, month, day: for example 19800215",
      phone_end: "The number that the clinic knows",
      none: "",
    },
    add: "Add another person",
    person: "Person",
    send: "Check in",
    sending: "One moment…",
    walkIn: "Without an appointment",
    choose: "There are several appointments today. Which ones are you here for?",
    chooseSend: "Check in",
    back: "Back",
    at: "at",
    checkedIn: "You’re checked in",
    yourNumber: "Your number",
    follow: "Follow my turn",
    print: "Print the ticket",
    done: "Done",
    again: "Check in someone else",
    offline: "There’s no connection. Try again in a moment, or ask at the front desk.",
    locating: "This page asks for your location to check that you’ve arrived.",
    codes: {
      no_appointment_found:
        "No appointment was found with these details. Check them, or ask at the front desk.",
      already_checked_in: "You’re already checked in.",
      wrong_location: "This appointment is at another address. Ask at the front desk.",
      appointment_expired: "The time of this appointment has passed. Ask at the front desk.",
      appointment_over: "This appointment is over or was cancelled. Ask at the front desk.",
      too_early: "It’s too early to check in. Come back closer to the time.",
      qr_expired:
        "This code isn’t valid any more. Scan the one at the entrance, or ask at the front desk.",
      too_far: "Check in once you’re at the clinic, and let this page use your location.",
      queue_full: "This line is full for now. Ask at the front desk.",
      queue_not_open: "This line is closed. Ask at the front desk.",
      busy: "Too many attempts in a short time. Wait a little, or ask at the front desk.",
      other: "Checking in didn’t work. Ask at the front desk.",
    },
    kiosk: {
      start: "Touch to begin",
      next: "Next",
      erase: "Delete",
      cancel: "Cancel",
      pairTitle: "Pair this kiosk",
      pairHelp: "Staff: type this code on the set-up page of the clinic, under “Screens”.",
      kept:
        "There’s no connection. Your check-in of " +
        "{at} is saved and will be sent as soon as possible. " +
        "If you can’t wait, ask at the front desk.",
      keptTitle: "Saved check-ins",
      waiting: "waiting",
      lost: "not sent in time: ask at the front desk",
      closed: "This kiosk isn’t in use. Ask at the front desk.",
      code: "code",
    },
    poster: {
      heading: "Check in here",
      steps: [
        "Scan this code with your phone.",
        "Enter the code of your appointment.",
        "Wait for your number, on the screen or on your phone.",
      ],
      help: "No phone? Ask at the front desk.",
      print: "Print",
      failed: "There is no code for this check-in point, or your link doesn’t open it.",
    },
  },
};

/** @typedef {typeof en} Texts */
