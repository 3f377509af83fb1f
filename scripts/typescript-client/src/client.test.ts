// What a frontend does with the generated client, against a running service: MINGIZUK_API names it (http://host:port).
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Problem = components["schemas"]["Problem"];
type NewMeetup = components["schemas"]["NewMeetup"];

const baseUrl = process.env["MINGIZUK_API"] ?? assert.fail("MINGIZUK_API names the service");

// @ts-expect-error Codes are a type: a misspelt one does not compile.
void ("no_such_code" satisfies Problem["code"]);

/** The client of whoever has this access token, or of nobody. */
function client(token?: string) {
  return createClient<paths>({ baseUrl, ...(token && { headers: { authorization: `Bearer ${token}` } }) });
}

/** The answer's data, where a problem is unexpected. */
function ok<T>(answer: { data?: T; error?: Problem }): T {
  assert.equal(answer.error, undefined);
  assert(answer.data !== undefined);
  return answer.data;
}

async function signUp(name: string) {
  const unique = randomUUID().replaceAll("-", "");
  const body = { email: `${unique}@example.com`, password: "stretch2gether", nickname: name + unique.slice(0, 8) };
  return ok(await client().POST("/api/v1/auth/signup", { body }));
}

function inHours(hours: number): string {
  return new Date(Date.now() + hours * 3_600_000).toISOString();
}

function lunch(): NewMeetup {
  return {
    title: "점심 스트레칭",
    description: "서울숲에서 30분만 같이 움직여요",
    place: {
      name: "서울숲",
      road_address: "서울 성동구 뚝섬로 273",
      lot_address: "서울 성동구 성수동1가 678-1",
      latitude: 37.5444,
      longitude: 127.0374,
      region: { sido: "서울특별시", sigungu: "성동구", code: "1120011400" },
    },
    starts_at: inHours(1),
    ends_at: inHours(2),
  };
}

test("a meetup from being opened to talk in its room", async () => {
  const [minseo, jiho] = [await signUp("민서"), await signUp("지호")];
  const [host, guest] = [client(minseo.access_token), client(jiho.access_token)];
  const meetup = ok(await host.POST("/api/v1/meetups", { body: lunch() }));
  assert.equal(meetup.host.id, minseo.user.id);
  const params = { path: { id: meetup.id } };

  const listed = ok(await client().GET("/api/v1/meetups", { params: { query: { limit: 1 } } }));
  assert.equal(listed.items[0]?.title, "점심 스트레칭");

  ok(await guest.PUT("/api/v1/meetups/{id}/membership", { params }));
  const body = { text: "안녕하세요 👋", nonce: randomUUID() };
  const posted = ok(await guest.POST("/api/v1/meetups/{id}/messages", { params, body }));
  assert.equal(posted.duplicate, false);
  const again = ok(await guest.POST("/api/v1/meetups/{id}/messages", { params, body }));
  assert.deepEqual([again.duplicate, again.seq], [true, posted.seq]);

  const log = ok(await host.GET("/api/v1/meetups/{id}/messages", { params }));
  const said = log.items.filter((entry) => entry.type === "message");
  assert.deepEqual(said.map((entry) => [entry.seq, entry.user?.id, entry.text]), [[posted.seq, jiho.user.id, body.text]]);
});

test("a refused call is a typed problem", async () => {
  const host = client((await signUp("민서")).access_token);
  const { data, error, response } = await host.POST("/api/v1/meetups", { body: { ...lunch(), title: "" } });
  assert.equal(data, undefined);
  const problem: Problem | undefined = error;
  assert.equal(response.status, 400);
  assert.equal(problem?.code, "invalid_input");
  assert.deepEqual(problem.errors, [{ field: "title", code: "empty" }]);
  assert.equal(problem.request_id, response.headers.get("x-request-id"));
});

test("tokens are refreshed, and each refresh token is used up", async () => {
  const first = await signUp("민서");
  const second = ok(await client().POST("/api/v1/auth/refresh", { body: { refresh_token: first.refresh_token } }));
  assert.notEqual(second.refresh_token, first.refresh_token);
  const me = ok(await client(second.access_token).GET("/api/v1/me"));
  assert.deepEqual(me, first.user);
  const nobody = await client().GET("/api/v1/me");
  assert.equal(nobody.error?.code, "unauthenticated");
});
