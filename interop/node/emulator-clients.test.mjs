// Starts the emulator, then runs clients.mjs with its certificate: Node reads NODE_EXTRA_CA_CERTS only when it starts.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const program = process.env.KEYBEARER_EMULATOR ?? fileURLToPath(new URL("../../target/debug/keybearer-emulator", import.meta.url));

test("MSAL for Node signs in with the emulator", async () => {
  const emulator = spawn(program, ["serve", "--exit-with-parent"], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = await once(createInterface(emulator.stdout), "line");
    const ready = line.replace(/^ready /, "");
    const env = { ...process.env, KEYBEARER_READY: ready, NODE_EXTRA_CA_CERTS: JSON.parse(ready).ca };
    delete env.NODE_TEST_CONTEXT;
    const clients = fileURLToPath(new URL("clients.mjs", import.meta.url));
    const run = spawn(process.execPath, ["--test", clients], { env, stdio: ["ignore", "inherit", "inherit"] });
    const [code] = await once(run, "exit");
    assert.equal(code, 0);
  } finally {
    emulator.kill();
  }
});
