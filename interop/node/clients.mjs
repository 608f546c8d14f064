// Tests of the emulator with unmodified MSAL for Node.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { InteractionRequiredAuthError, PublicClientApplication } from "@azure/msal-node";

import { Person } from "./person.mjs";

const AZURE = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const STORAGE = ["https://storage.azure.com/.default"];
const ARM = ["https://management.azure.com/.default"];

const emulator = JSON.parse(process.env.KEYBEARER_READY);
const [dev, , guest] = emulator.users;

beforeEach(async () => {
  for (const what of ["faults", "policies", "requests"]) {
    await fetch(`${emulator.authority_host}/emulator/${what}`, { method: "DELETE" });
  }
});

// A JWT, a password of the fixture, or a secret that the emulator generated.
const SECRET = /eyJ|Passw0rd|\b1\.[\w-]{40}|\bD[\w-]{43}\b/;

afterEach(async () => {
  assert.doesNotMatch(JSON.stringify(await requests()), SECRET, "invariant I5: a secret in the list of requests");
});

for (const tenant of [emulator.tenant, "common", "organizations"]) {
  test(`interactive, silent from cache, and refresh for another scope at ${tenant}`, async () => {
    const app = application(tenant);
    const result = await signIn(app, new Person(dev));
    assert.equal(claims(result.accessToken).iss, `https://sts.windows.net/${emulator.tenant}/`);
    assert.equal(result.account.homeAccountId, `${dev.oid}.${emulator.tenant}`);
    assert.equal(result.account.username, dev.upn);

    const before = (await requests()).length;
    const again = await app.acquireTokenSilent({ scopes: STORAGE, account: result.account });
    assert.equal(again.accessToken, result.accessToken);
    assert.ok(again.fromCache);
    const used = (await requests()).slice(before).filter(({ grant }) => grant);
    assert.deepEqual(used, [], "the cache was not used");

    const other = await app.acquireTokenSilent({ scopes: ARM, account: result.account });
    assert.equal(claims(other.accessToken).aud, "https://management.azure.com");
    assert.equal((await requests()).at(-1).grant, "refresh_token");
  });
}

test("device code, in the spelling of MSAL for Node", async () => {
  const person = new Person(dev);
  const result = await application(emulator.tenant).acquireTokenByDeviceCode({
    scopes: STORAGE,
    deviceCodeCallback: ({ verificationUri, userCode }) => void person.enterCode(verificationUri, userCode),
  });
  assert.equal(result.account.username, dev.upn);
  assert.equal((await requests()).at(-1).outcome, "token");
});

test("a guest has the home account's id and the tenant of the authority", async () => {
  const { account } = await signIn(application(emulator.tenant), new Person(guest));
  assert.equal(account.homeAccountId, "22222222-aaaa-4bbb-8ccc-000000000003.a1b5e7d3-92c4-4c6d-8f10-5e3d7c9b2f02");
  assert.equal(account.tenantId, emulator.tenant);
  assert.equal(account.localAccountId, guest.oid);
});

test("a policy is an interaction_required error with claims, and interaction satisfies it", async () => {
  const app = application(emulator.tenant);
  const person = new Person(dev);
  const { account } = await signIn(app, person);
  await control("policies", { resource: "https://management.azure.com", require: "mfa" });
  const error = await app.acquireTokenSilent({ scopes: ARM, account }).catch((error) => error);
  assert.ok(error instanceof InteractionRequiredAuthError, String(error));
  assert.equal(error.subError, "basic_action");
  assert.match(error.errorMessage, /AADSTS50076/);
  const result = await signIn(app, person, { scopes: ARM, claims: error.claims });
  assert.ok(person.seen.includes("Approve sign-in request"));
  assert.ok(claims(result.accessToken).amr.includes("mfa"));
});

test("a person who declines is access_denied", async () => {
  const error = await signIn(application(emulator.tenant), new Person(dev, ["cancel"])).catch((error) => error);
  assert.equal(error.errorCode, "access_denied");
  assert.match(error.errorMessage, /AADSTS65004/);
});

test("a revoked refresh token is invalid_grant with Entra's code", async () => {
  const app = application(emulator.tenant);
  const { account } = await signIn(app, new Person(dev));
  await control("revoke", { upn: dev.upn });
  const error = await app.acquireTokenSilent({ scopes: ARM, account }).catch((error) => error);
  assert.equal(error.errorCode, "invalid_grant");
  assert.deepEqual(error.errorNo, 50173);
});

function application(tenant) {
  return new PublicClientApplication({
    auth: {
      clientId: AZURE,
      authority: `${emulator.authority_host}/${tenant}`,
      knownAuthorities: [new URL(emulator.authority_host).host],
    },
  });
}

function signIn(app, person, request = {}) {
  const openBrowser = async (url) => void person.visit(url);
  return app.acquireTokenInteractive({ scopes: STORAGE, openBrowser, ...request });
}

async function requests() {
  return (await fetch(`${emulator.authority_host}/emulator/requests`)).json();
}

async function control(what, body) {
  const reply = await fetch(`${emulator.authority_host}/emulator/${what}`, { method: "POST", body: JSON.stringify(body) });
  assert.ok(reply.ok, await reply.text());
}

function claims(token) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
}
