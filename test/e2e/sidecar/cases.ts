/** What both data planes must do alike: calls, and what is to be seen of them. Figures of chance are given five standard deviations. */

import assert from 'node:assert/strict'

/** tcp, udp: a connection, a datagram; the answer has the status 200 where there was one, else 0. */
export type Version = 'http1' | 'http2' | 'grpc' | 'tcp' | 'udp'
export type Call = { readonly path: string; readonly method?: string; readonly headers?: Readonly<Record<string, string>> }
export type Answer = {
  readonly status: number
  readonly grpc?: number
  readonly headers: Readonly<Record<string, string>>
  readonly ms: number
  /** Who answered, what was asked of it; absent where the mesh itself did. */
  readonly by?: string
  readonly path?: string
  readonly asked?: Readonly<Record<string, string>>
}

export type Case = {
  readonly says: string
  readonly service: string
  readonly only?: readonly Version[]
  readonly atOnce?: number
  /** by: `PLANE-VERSION`, for what must not be asked twice. */
  readonly calls: (by: string) => readonly Call[]
  readonly judge: (answers: readonly Answer[]) => void
}

const times = (count: number, call: Call): readonly Call[] => Array.from({ length: count }, () => call)
const count = (answers: readonly Answer[], holds: (answer: Answer) => boolean): number => answers.filter(holds).length
const isGood = ({ status, grpc = 0 }: Answer): boolean => status === 200 && grpc === 0
/** Of HTTP a status; of gRPC that of a server which is not there. */
const isUnavailable = ({ status, grpc }: Answer): boolean => (grpc === undefined ? status === 503 : grpc === 14)

/** part: of all, as a number of 0 to 1. */
function about(seen: number, all: number, part: number): void {
  const spread = 5 * Math.sqrt(all * part * (1 - part))
  assert.ok(
    Math.abs(seen - all * part) <= spread,
    `${seen} of ${all}, where ${(all * part).toFixed(0)} ± ${spread.toFixed(0)} are expected`,
  )
}

export const callerCases: readonly Case[] = [
  {
    says: 'sends datagrams',
    service: 'api',
    only: ['udp'],
    calls: () => times(5, { path: '' }),
    judge: answers => assert.equal(count(answers, isGood), 5),
  },
  {
    says: 'splits connections by weight',
    service: 'api',
    only: ['tcp'],
    calls: () => times(200, { path: '' }),
    judge: answers => {
      assert.equal(count(answers, isGood), 200)
      about(
        count(answers, ({ by }) => by === 'two'),
        200,
        0.2,
      )
    },
  },
  {
    says: 'splits by weight',
    service: 'api',
    calls: () => times(400, { path: '/split' }),
    judge: answers => {
      assert.equal(count(answers, isGood), 400)
      about(
        count(answers, ({ by }) => by === 'two'),
        400,
        0.2,
      )
    },
  },
  {
    says: 'routes by a header',
    service: 'api',
    calls: () => [
      ...times(5, { path: '/version', headers: { 'x-version': '2' } }),
      ...times(5, { path: '/version', headers: { 'x-version': '3' } }),
    ],
    judge: answers =>
      assert.deepEqual(
        answers.map(({ by }) => by),
        [...Array<string>(5).fill('two'), ...Array<string>(5).fill('one')],
      ),
  },
  {
    says: 'tries again, as often as it may',
    service: 'api',
    only: ['http1', 'http2'],
    calls: by => [
      { path: `/retry/flaky?fails=1&key=${by}-a` },
      { path: `/retry/flaky?fails=2&key=${by}-b` },
      { path: `/retry/flaky?fails=9&key=${by}-c` },
      // Two further tries were made of the last: six failures of nine are left.
      { path: `/retry/flaky?fails=4&key=${by}-c` },
    ],
    judge: answers =>
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 503, 200],
      ),
  },
  {
    says: 'keeps the policies that name it, and not those of others',
    service: 'api',
    only: ['http1', 'http2', 'grpc'],
    calls: by => [{ path: `/policed/flaky?fails=2&key=${by}-policed` }, { path: '/policed/slow?ms=200' }],
    judge: answers => assert.equal(count(answers, isGood), 2, JSON.stringify(answers)),
  },
  {
    says: 'ends what stands still, and nothing else',
    service: 'api',
    only: ['http1', 'http2', 'grpc'],
    calls: () => [{ path: '/idle/slow?ms=3000' }, { path: '/idle/slow?ms=10' }],
    judge: ([still, quick]) => {
      assert.ok(still!.grpc === undefined ? still!.status === 504 : still!.grpc === 4 || still!.grpc === 14, JSON.stringify(still))
      assert.ok(still!.ms >= 290 && still!.ms < 2500, `${still!.ms} ms`)
      assert.ok(isGood(quick!), JSON.stringify(quick))
    },
  },
  {
    says: 'gives up when the time is over',
    service: 'api',
    calls: () => [{ path: '/timeout/slow?ms=5000' }, { path: '/timeout/slow?ms=10' }],
    judge: ([late, quick]) => {
      // Envoy makes 14 of its own 504 for gRPC, where the specification has 4.
      if (late!.grpc === undefined) assert.equal(late!.status, 504)
      else assert.ok([4, 14].includes(late!.grpc), String(late!.grpc))
      assert.ok(late!.ms >= 295 && late!.ms < 4000, `after ${late!.ms} ms`)
      assert.ok(isGood(quick!))
    },
  },
  {
    says: 'breaks a part of the requests on purpose',
    service: 'api',
    calls: () => times(400, { path: '/abort' }),
    judge: answers => {
      assert.equal(count(answers, isGood) + count(answers, isUnavailable), 400)
      about(count(answers, isUnavailable), 400, 0.3)
    },
  },
  {
    says: 'holds requests up on purpose',
    service: 'api',
    calls: () => times(3, { path: '/delay' }),
    judge: answers => {
      for (const answer of answers) {
        assert.ok(isGood(answer))
        assert.ok(answer.ms >= 295, `after ${answer.ms} ms`)
      }
    },
  },
  {
    says: 'leaves an endpoint out that fails three times on end',
    service: 'odd',
    only: ['http1', 'http2'],
    calls: () => times(60, { path: '/odd' }),
    judge: answers => {
      assert.equal(count(answers, isUnavailable), 3)
      assert.ok(answers.slice(-40).every(isGood))
    },
  },
  {
    says: 'refuses at once what is too much at once',
    service: 'narrow',
    only: ['http1', 'http2'],
    atOnce: 10,
    calls: () => times(10, { path: '/slow?ms=1500' }),
    judge: answers => {
      assert.deepEqual([count(answers, isGood), count(answers, isUnavailable)], [2, 8])
      assert.ok(answers.filter(isUnavailable).every(({ ms }) => ms < 1400))
    },
  },
  {
    says: 'changes headers and paths',
    service: 'api',
    calls: () => [{ path: '/change/x?q=1', headers: { 'x-gone': 'here', 'x-set': 'caller' } }],
    judge: ([answer]) => {
      assert.deepEqual([answer!.path, answer!.asked!['x-set'], answer!.asked!['x-gone']], ['/changed/x?q=1', 'mesh', undefined])
      assert.equal(answer!.headers['x-answer'], 'mesh')
    },
  },
  {
    says: 'redirects',
    service: 'api',
    only: ['http1', 'http2'],
    calls: () => [{ path: '/move/x' }],
    judge: ([answer]) => assert.deepEqual([answer!.status, answer!.headers['location']], [301, 'https://shop.example/new']),
  },
  {
    says: 'answers 500 for a backend that does not exist, and 404 where no rule matches',
    service: 'api',
    only: ['http1', 'http2'],
    calls: () => [{ path: '/nowhere' }, { path: '/none' }],
    judge: answers =>
      assert.deepEqual(
        answers.map(({ status }) => status),
        [500, 404],
      ),
  },
]

/** Of what stands in front of the called program. */
export const calledCases: readonly Case[] = [
  {
    says: 'takes connections and datagrams by mutual TLS from whom the rules allow',
    service: 'called',
    only: ['tcp', 'udp'],
    calls: () => times(5, { path: '' }),
    judge: answers => assert.equal(count(answers, isGood), 5),
  },
  {
    says: 'takes what comes by mutual TLS, and tells who called',
    service: 'called',
    calls: () => times(20, { path: '/' }),
    judge: answers => {
      assert.equal(count(answers, isGood), 20)
      assert.match(answers[0]!.asked!['x-forwarded-client-cert']!, /URI=spiffe:\/\/weft\.local\/ns\/default\/sa\/web-weft/)
    },
  },
  {
    says: 'takes no more than the rate',
    service: 'called',
    calls: by => times(8, { path: `/limited/${by.split('-').at(-1)}` }),
    judge: answers => {
      assert.equal(count(answers, isGood), 5)
      assert.ok(answers.slice(5).every(({ status, grpc }) => (grpc === undefined ? status === 429 : grpc === 8 || grpc === 14)))
    },
  },
  {
    says: 'lets in whom the rules allow, for what they allow',
    service: 'called',
    calls: () => [{ path: '/open' }, { path: '/secret' }, { path: '/open/x' }],
    judge: answers =>
      assert.deepEqual(
        answers.map(({ status, grpc }) => (grpc === undefined ? status : grpc === 0 ? 200 : grpc === 7 ? 403 : grpc)),
        [200, 403, 200],
      ),
  },
]
