// The page of claims checks in Chromium: the usual way against the real binary; short states and
// failures against a staged server.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, describe, it } from "node:test";
import { Page, PHONE, SCREEN } from "../helpers/browser.js";
import { Clinic, token } from "../helpers/clinic.js";
import { browser, open, useBrowser } from "../helpers/fixtures.js";
import { Proxy } from "../helpers/proxy.js";
import { RUN, Stage } from "../helpers/staged-run.js";
import { until } from "../helpers/until.js";

useBrowser();

/** @param {"editor" | "viewer" | "admin"} role */
function tokenOf(role, subject = `${role}-${randomUUID()}`) {
  return token(role, { subject });
}

/** @param {string} url @param {string} bearer @param {string} [run] */
async function openRuns(url, bearer, run, viewport = SCREEN) {
  const keys = new URLSearchParams({ token: bearer, ...(run && { run }) });
  return open(await Page.open(browser, `${url}/runs#${keys}`, viewport));
}

const HEADER = [
  "#",
  "Facture",
  "ID RAMQ",
  "Date de Service",
  "Début",
  "Fin",
  "Periode",
  "Lieu de pratique",
  "Secteur d'activité",
  "Diagnostic",
  "Code",
  "Unités",
  "Rôle",
  "Élément de contexte",
  "Montant Preliminaire",
  "Montant payé",
  "Doctor Info",
  "Patient",
].join(";");

/**
 * One row of an export. The people in it are invented.
 * @param {number} number
 * @param {{day: number, code: string, patient?: number, date?: string}} facts
 */
function row(number, { day, code, patient, date }) {
  const when = date ?? new Date(Date.UTC(2026, 0, 1 + day)).toISOString().slice(0, 10);
  const who = patient === undefined ? "" : `ABCD${String(10_000_000 + patient)} - INVENTED, PERSON`;
  const doctor = "1234567-12345 | Invented, Doctor - Family medicine";
  return [
    number,
    100_000_000 + number,
    "12345678901",
    when,
    "",
    "",
    "202601",
    "51234",
    "",
    "",
    code,
    1,
    "1",
    "",
    "32,40",
    "0,00",
    doctor,
    who,
  ].join(";");
}

const FEES_WITHOUT_PATIENTS = 120;

/**
 * Days with a fee and no patient, one day with enough patients for the larger fee, and one row that
 * cannot be read.
 */
function claims() {
  const days = Array.from({ length: FEES_WITHOUT_PATIENTS }, (_, day) => ({ day, code: "19928" }));
  const best = [
    { day: 200, code: "19928" },
    ...Array.from({ length: 12 }, (_, patient) => ({ day: 200, code: "15804", patient })),
  ];
  const unreadable = { day: 0, code: "15804", patient: 99, date: "sometime" };
  const rows = [...days, ...best, unreadable].map((facts, index) => row(index + 1, facts));
  return Buffer.from([HEADER, ...rows, ""].join("\r\n"));
}

/** @param {Page} page @param {Buffer} buffer @param {string} [name] */
async function choose(page, buffer, name = "september.csv") {
  await page.shows("#choose-text", "Choose a file");
  await page.page.locator("#choose").setInputFiles({ name, mimeType: "text/csv", buffer });
}

/** @param {Page} page */
const rowsOf = ({ page }) => page.locator("#findings-rows tr").count();

describe("a claims file", () => {
  /** @type {Clinic} */
  let clinic;
  before(async () => {
    clinic = await Clinic.start("--empty");
  });
  after(() => clinic?.stop());

  it("is sent, checked, filtered and saved", async () => {
    const page = await openRuns(clinic.url, tokenOf("editor"));
    await page.shows("#intake-title", "Check a claims file");
    await page.shows("#recent-none", "No checks yet.");
    await choose(page, claims());
    await page.shows("#state", "Finished");
    await page.shows("#run-name", "september.csv");
    await page.shows("#state-text", /^134 rows checked in /);
    await page.shows("#at-risk", "$3,888.00");
    await page.shows("#to-gain", "$32.40");
    await page.shows("#counts", /Errors\s+121\s+Warnings\s+0\s+Missed billing\s+1\s/);
    await page.shows("#rules-rows", /Office fee.*\s120\s/s);
    await page.shoot("runs-finished");

    await page.shows("#findings-shown", "Showing the first 100");
    await page.shows(
      "#findings-rows tr:first-child",
      /Error\s+1\s+Code 19928 requires .*6 patients.* 0\. Remove it\..*\$32\.40/,
    );
    await page.page.locator("#findings-more").click();
    await page.shows("#findings-shown", "122 findings, all shown");
    assert.equal(await rowsOf(page), 122);
    await page.page
      .getByText("Missed billing", { exact: true })
      .and(page.page.locator("label *"))
      .click();
    await page.shows("#findings-shown", "1 finding");
    await page.shows(
      "#findings-rows",
      /Missed billing\s+121\s+.*12 patients.*19929.*19928.* gain of \$32\.40\./,
    );

    const [download] = await Promise.all([
      page.page.waitForEvent("download"),
      page.page.locator("#export").click(),
    ]);
    assert.equal(download.suggestedFilename(), "september-findings.csv");
    const saved = await readFile(await download.path(), "utf8");
    assert.match(saved, /^\uFEFF.*;.*\r?\n.*19929/);
    assert.equal(saved.trim().split("\n").length, 2);

    await page.page.getByRole("button", { name: "Français" }).click();
    await page.shows(
      "#findings-rows",
      /Facturation manquée\s+121\s+.*12 patients.*19929.*19928.* gain de 32,40\s\$\./,
    );
    await page.shows("#at-risk", /^3\s888,00\s\$$/);
    await page.shoot("runs-finished-fr");
    assert.deepEqual(page.complaints, []);
  });

  it("opens again after a reload and from the list", async () => {
    const page = await openRuns(clinic.url, tokenOf("editor"));
    await choose(page, claims(), "october.csv");
    await page.shows("#state", "Finished");
    await page.page.reload();
    await page.shows("#state", "Finished");
    await page.shows("#findings-shown", "Showing the first 100");
    await page.page.getByRole("link", { name: "All checks" }).click();
    await page.shows(
      "#recent-list",
      /october\.csv\s+Finished.*121 errors · \$3,888\.00 at risk · \$32\.40 possibly missed/s,
    );
    await page.page.getByRole("link", { name: "october.csv" }).click();
    await page.shows("#run-name", "october.csv");
    await page.shows("#state", "Finished");
    await page.page.goBack();
    await page.shows("#intake-title", "Check a claims file");
    assert.deepEqual(page.complaints, []);
  });

  it("can be dropped or chosen by keyboard", async () => {
    const page = await openRuns(clinic.url, tokenOf("editor"));
    await page.shows("#drop-text", "Drop the file here");
    const data = await page.page.evaluateHandle((text) => {
      const data = new DataTransfer();
      data.items.add(new File([text], "dropped.csv", { type: "text/csv" }));
      return data;
    }, claims().toString());
    await page.page.dispatchEvent("#drop", "dragenter", { dataTransfer: data });
    await page.page.dispatchEvent("#drop", "drop", { dataTransfer: data });
    await page.shows("#run-name", "dropped.csv");
    await page.shows("#state", "Finished");

    await page.page.getByRole("link", { name: "Check another file" }).click();
    await page.shows("#choose-text", "Choose a file");
    // Wait for the event before the key is pressed, or the driver misses it.
    const chosen = page.page.waitForEvent("filechooser");
    await until("the keyboard reaches the choice", async () => {
      await page.page.keyboard.press("Tab");
      return page.page.evaluate(() => document.activeElement?.id === "choose");
    });
    await page.page.keyboard.press("Enter");
    await (await chosen).setFiles({ name: "chosen.csv", mimeType: "text/csv", buffer: claims() });
    await page.shows("#run-name", "chosen.csv");
    assert.deepEqual(page.complaints, []);
  });

  it("is refused with a reason if not an export", async () => {
    const page = await openRuns(clinic.url, tokenOf("editor"));
    await choose(page, Buffer.from(claims().toString().replace(";Code;", ";Kode;")));
    await page.shows("#state", "Failed");
    await page.shows("#state-text", /^This isn’t a claims export/);
    await page.shows("#state-where", /^Column “Code”/i);
    await page.shows("#retry", "");
    await page.shoot("runs-refused");
    await page.page.getByRole("link", { name: "Check another file" }).click();
    await choose(page, Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 3, 0, 0, 0, 0]), "photo.csv");
    await page.shows("#state-text", /^This isn’t a text file/);
    await page.shows("#state-where", /byte \d/);
  });

  it("is visible to viewers without actions", async () => {
    const editor = await openRuns(clinic.url, tokenOf("editor"));
    await choose(editor, claims(), "watched.csv");
    await editor.shows("#state", "Finished");
    const viewer = await openRuns(clinic.url, tokenOf("viewer"));
    await viewer.shows("#intake-hint", /^You can watch checks/);
    assert.equal(await viewer.text("#drop"), "");
    await viewer.page.getByRole("link", { name: "watched.csv" }).click();
    await viewer.shows("#state", "Finished");
    await viewer.shows("#findings-shown", "Showing the first 100");
    assert.equal(await viewer.text("#actions"), "");
    const other = await openRuns(
      clinic.url,
      tokenOf("editor"),
      new URLSearchParams(new URL(editor.page.url()).hash.slice(1)).get("run") ?? "",
    );
    await other.shows("#note-title", "This check can’t be opened");
  });
});

describe("the start page of a demo", () => {
  it("links editors to uploads and viewers to the list", async () => {
    const demo = await Clinic.start();
    try {
      const start = open(await Page.open(browser, demo.url, SCREEN));
      await start.page.getByRole("link", { name: "Check a claims file" }).click();
      await start.shows("#choose-text", "Choose a file");
      await start.page.goBack();
      await start.page.getByRole("link", { name: "Watch as a viewer" }).click();
      await start.shows("#intake-hint", /^You can watch checks/);
      assert.deepEqual(start.complaints, []);
    } finally {
      await demo.stop();
    }
  });
});

describe("a check", () => {
  /** @type {Stage} */
  let stage;
  const head = {
    state: "running",
    name: "september.csv",
    bytes: 4_812_345,
    requested_at: Date.UTC(2026, 8, 30, 16),
    attempt: 1,
  };
  const progress = {
    phase: "reading",
    permille: 412,
    rows_done: 41_234,
    bytes_done: 1,
    bytes_total: 2,
    rows_per_s: 52_310,
  };
  const counts = { error: 12, warning: 0, optimisation: 3, pass: 480 };
  const finding = (/** @type {number} */ row) => ({
    row,
    rule: "office-fee",
    severity: "optimisation",
    outcome: "office_fee_upgrade",
    cents: 3240,
    params: { seen: 14, better: "19929", code: "19928", gain_cents: 3240 },
  });
  const entriesOf = (/** @type {number} */ from, /** @type {number} */ to) =>
    Object.fromEntries(
      Array.from({ length: to - from + 1 }, (_, at) => [
        `finding:${String(from + at).padStart(3, "0")}`,
        finding(from + at),
      ]),
    );

  before(async () => {
    stage = await Stage.start();
  });
  after(() => stage?.close());
  afterEach(() => {
    stage.clear();
  });

  it("shows its place in line, then its progress", async () => {
    stage.show({ run: { ...head, state: "queued", ahead: 3 } });
    const page = await openRuns(stage.url, tokenOf("editor"), RUN);
    await page.shows("#state", "Waiting");
    await page.shows("#state-text", "3 checks ahead of this one.");
    await page.shows("#link", "Live");
    stage.show({ run: { ...head, state: "queued", ahead: 0 } });
    await page.shows("#state-text", "Next in line.");

    const bar = page.page.locator("#bar");
    stage.show({ run: head });
    await page.shows("#state-text", "Starting…");
    assert.equal(await bar.getAttribute("aria-valuenow"), null);
    stage.show({ progress });
    await page.shows("#percent", "41%");
    await page.shows("#progress .pace", /^Rows\s+41,234\s+Speed\s+52,310 rows\/s$/);
    assert.equal(await bar.getAttribute("aria-valuenow"), "41");
    assert.equal(await bar.getAttribute("aria-valuetext"), "41%, Rows: 41,234");
    assert.equal(await bar.evaluate((bar) => bar.style.getPropertyValue("--done")), "0.412");
    stage.show({
      progress: {
        ...progress,
        phase: "concluding",
        permille: 999,
        rows_total: 100_000,
        rows_done: 100_000,
        eta_ms: 2_400,
      },
    });
    await page.shows("#percent", "99%");
    await page.shows("#state-text", "Adding up days and years");
    await page.shows("#rows", "100,000 of 100,000");
    await page.shows("#left", /^about 2\ss$/);
    assert.equal(await page.page.title(), "99% · september.csv");
    assert.equal(
      await page.page.locator("#status").textContent(),
      "Running. Adding up days and years · 99%, Rows: 100,000 of 100,000, " +
        "Time left: about 2\u00a0s",
    );
    await page.page.getByRole("button", { name: "Français" }).click();
    await page.shows("#state-text", "Totaux par jour et par année");
    await page.shows("#percent", /^99\s%$/);
    assert.deepEqual(page.complaints, []);
  });

  it("appends live findings without moving the reader", async () => {
    stage.show({
      run: head,
      progress,
      counts,
      "rule:annual-codes": { ...counts, took_us: 730 },
      ...entriesOf(1, 30),
    });
    const page = await openRuns(stage.url, tokenOf("editor"), RUN);
    await page.shows(
      "#findings-rows tr:nth-child(30)",
      /30\s+The number of patients \(14\) allows 19929 instead of 19928: a gain of \$32\.40\./,
    );
    await page.shows("#rules-rows", /Office fees\s+0.*not finished.*annual-codes\s+12.*0\.7\sms/s);
    await page.page.locator("#findings-rows tr:nth-child(20)").evaluate((row) => {
      row.id = "read";
      row.scrollIntoView({ block: "center" });
    });
    const at = () =>
      page.page.locator("#read").evaluate((row) => Math.round(row.getBoundingClientRect().top));
    const before = await at();
    stage.show({ counts: { ...counts, error: 90 }, ...entriesOf(31, 100) });
    await until("the list grew", async () => (await rowsOf(page)) === 100);
    assert.equal(await at(), before);
    await page.shows("#counts", /Errors\s+90\s/);
    await page.page.getByRole("button", { name: "Français" }).click();
    await page.shows(
      "#findings-rows tr:first-child",
      /Facturation manquée\s+1\s+Le nombre de patients \(14\) permet le 19929 au lieu du 19928 : gain de 32,40\s\$\./,
    );
    await page.shoot("runs-running-fr");
    assert.deepEqual(page.complaints, []);
  });

  it("shows nothing of the first attempt in the second", async () => {
    stage.show({ run: head, progress, counts, ...entriesOf(1, 5) });
    const page = await openRuns(stage.url, tokenOf("editor"), RUN);
    await until("findings are shown", async () => (await rowsOf(page)) === 5);
    const gone = Object.fromEntries(
      ["progress", "counts", ...Object.keys(entriesOf(1, 5))].map((key) => [key, undefined]),
    );
    stage.show({ ...gone, run: { ...head, attempt: 2 } });
    await page.shows("#state-more", /^Second attempt\. The one before did not finish/);
    await page.shows("#state-text", "Starting…");
    await page.shows("#findings-none", "Nothing found so far.");
    assert.equal(await page.text("#counts"), "");
  });

  it("keeps the focus when cancelled", async () => {
    stage.show({ run: head, progress });
    const page = await openRuns(stage.url, tokenOf("editor"), RUN);
    await page.page.locator("#cancel").press("Enter");
    await until("it was asked for", () =>
      stage.heard.some(({ line }) => line === `POST runs/${RUN}/cancel`),
    );
    stage.show({ run: { ...head, cancelling: true } });
    await page.shows("#state", "Stopping");
    await page.shows("#cancel", "");
    assert.equal(await page.page.evaluate(() => document.activeElement?.id), "run-name");
    stage.show({ run: { ...head, state: "cancelled" }, progress: undefined });
    await page.shows("#state", "Cancelled");
    await page.shows("#percent", "");
  });

  it("explains a failure and offers a useful retry", async () => {
    const failed = (/** @type {object} */ failure) => ({
      run: { ...head, state: "failed", failure },
      progress: undefined,
    });
    stage.show(
      failed({ code: "file_malformed", params: { line: 1204, byte: 90_112 }, retryable: false }),
    );
    const page = await openRuns(stage.url, tokenOf("editor"), RUN, PHONE);
    await page.shows("#state-text", /^We can’t tell the rows apart/);
    await page.shows("#state-where", "spreadsheet row 1,204, byte 90,112");
    await page.shows("#retry", "");
    stage.show(failed({ code: "run_worker_lost", retryable: true }));
    await page.shows("#state-more", "Trying again may help.");
    await page.page.locator("#retry").click();
    await until("it was asked for", () =>
      stage.heard.some(({ line }) => line === `POST runs/${RUN}/retry`),
    );
    stage.answers.set(`POST runs/${RUN}/retry`, () => ({
      status: 409,
      json: { code: "run_not_retryable" },
    }));
    await page.page.locator("#retry").click();
    await page.shows("#run-problem", /^This check can’t be tried again/);
    stage.show(
      failed({ code: "file_not_an_export", params: { column: "paid" }, retryable: false }),
    );
    await page.shows("#state-where", "Column “Montant payé”");
    stage.show(failed({ code: "something_new", retryable: true }));
    await page.shows("#state-text", "The check could not be done.");
  });

  it("reads findings by page and retries", async () => {
    const summary = {
      rows: 10_000,
      rows_unreadable: 2,
      counts,
      at_risk_cents: 123_450,
      to_gain_cents: 9_720,
      took_ms: 2_412,
      stored: 12,
    };
    stage.show({
      run: { ...head, state: "completed", summary },
      "rule:office-fee": { ...counts, took_us: 15_300 },
    });
    stage.answers.set(`GET runs/${RUN}/findings`, () => ({
      status: 503,
      json: { code: "try_again" },
    }));
    const page = await openRuns(stage.url, tokenOf("editor"), RUN);
    await page.shows("#findings-problem", "The server is busy. Please try again in a moment.");
    await page.shows("#findings-none", "");
    stage.answers.set(`GET runs/${RUN}/findings`, (_body, url) => {
      const first = {
        findings: [{ ...finding(7), message: "The first." }],
        next: "after the first",
      };
      return {
        json:
          url.searchParams.get("cursor") === first.next
            ? { findings: [{ ...finding(8), message: "The second." }] }
            : first,
      };
    });
    await page.page.getByRole("button", { name: "Try again" }).click();
    await page.shows("#findings-shown", "Showing the first one");
    await page.shows("#findings-problem", "");
    await page.shows("#state-more", "2 rows could not be read; they are listed below.");
    await page.shows(
      "#findings-hint",
      /^There were more findings than we keep: this is the first 12\./,
    );
    await page.page.locator("#findings-more").press("Enter");
    await page.shows("#findings-rows", /The first\..*The second\./s);
    await page.shows("#findings-shown", "2 findings, all shown");
    assert.equal(await page.page.evaluate(() => document.activeElement?.id), "findings-title");
    stage.answers.set(`GET runs/${RUN}/findings`, () => ({ json: { findings: [] } }));
    await page.page.locator("#rule-choice").selectOption("office-fee");
    await page.shows("#findings-none", "No findings of this kind.");
    assert.match(stage.heard.at(-1)?.line ?? "", /rule=office-fee/);
  });

  it("shows a loss and catches up by itself", async () => {
    stage.show({ run: head, progress });
    const proxy = open(await Proxy.to(stage.url));
    const page = await openRuns(proxy.url, tokenOf("editor"), RUN);
    await page.shows("#link", "Live");
    proxy.cut();
    await page.shows("#link", "Reconnecting…");
    await page.shows("#banner", /^Connection lost \d+\ss ago\. The check continues/);
    await page.shows("#percent", "41%");
    stage.show({ progress: { ...progress, permille: 700 } });
    proxy.mend(stage.url);
    await page.shows("#percent", "70%");
    await page.shows("#banner", "");
    await page.shows("#link", "Live");
  });

  it("stops an upload and explains refused files", async () => {
    const page = await openRuns(stage.url, tokenOf("editor"));
    /** @type {(answer: import("../helpers/staged-run.js").Answer) => void} */
    let release = () => {};
    stage.answers.set("POST files", () => new Promise((resolve) => (release = resolve)));
    await choose(page, claims(), "on its way.csv");
    await page.shows("#upload-text", "Sent. The server is storing it…");
    await page.shows("#upload-name", "on its way.csv");
    await page.page.getByRole("button", { name: "Stop" }).click();
    await page.shows("#choose-text", "Choose a file");
    assert.equal(await page.text("#intake-problem"), "");
    release({ status: 201, json: {} });

    stage.answers.set("POST files", () => ({ status: 413, json: { code: "too_large" } }));
    await choose(page, claims(), "large.csv");
    await page.shows("#intake-problem", /^The file is larger than allowed\./);
    await choose(page, Buffer.alloc(0));
    await page.shows(
      "#intake-problem",
      "The file is empty, so nothing was sent. Please export it again.",
    );
  });

  it("puts neither file name nor token in URLs", async () => {
    const page = await openRuns(stage.url, tokenOf("editor"));
    stage.show({ run: head });
    await choose(page, claims(), "a clerk’s own name.csv");
    await page.shows("#state", "Running");
    const sent = stage.heard.find(({ line }) => line === "POST files");
    assert.match(sent?.headers["content-type"] ?? "", /^multipart\/form-data/);
    assert.match(sent?.headers.authorization ?? "", /^Bearer ./);
    const started = stage.heard.find(({ line }) => line === "POST runs");
    assert.match(String(started?.headers["idempotency-key"]), /^[0-9a-f]{32}$/);
    const bearer = (sent?.headers.authorization ?? "").slice("Bearer ".length);
    for (const { line } of stage.heard)
      assert.ok(!line.includes("clerk") && !line.includes(bearer), line);
  });

  it("explains an incomplete or expired link", async () => {
    const page = open(await Page.open(browser, `${stage.url}/runs`, PHONE));
    await page.shows("#note-title", "Open the link you were given");
    assert.equal(await page.text("#intake"), "");
    stage.answers.set("GET runs", () => ({ status: 401, json: { code: "token_expired" } }));
    const expired = await openRuns(stage.url, tokenOf("editor"));
    await expired.shows("#note-title", "This link doesn’t open claims checks");
  });

  it("fits a narrow screen with large text", async () => {
    stage.show({
      run: head,
      progress: { ...progress, eta_ms: 3_700_000 },
      counts,
      "rule:office-fee": counts,
      ...entriesOf(1, 3),
    });
    const page = await openRuns(stage.url, tokenOf("editor"), RUN, { width: 320, height: 640 });
    await until("findings are shown", async () => (await rowsOf(page)) === 3);
    for (const language of ["English", "Français"]) {
      await page.page.getByRole("button", { name: language }).click();
      const beyond = await page.page.evaluate(() => {
        document.documentElement.style.fontSize = "200%";
        return document.documentElement.scrollWidth - innerWidth;
      });
      assert.ok(beyond <= 0, `${language} is ${beyond} px too wide`);
    }
    await page.shoot("runs-narrow");
  });
});
