/** The access log of a mesh that runs: the same call told by both of its proxies, denials with what decided them, of HTTP and of TCP; switched at run time, and written by Envoy too. */

import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { envoyBeside, lacksEnvoy } from '../harness/envoy-sidecar.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, type Running, type Shell } from '../harness/mesh.ts'
import { apply, remove, said } from './policies/shop.ts'
import { call, metric, serve } from './route-filters/shop.ts'

const verdict = await canCapture()
const script = (folder: string, name: string): string => join(import.meta.dirname, folder, name)
type Line = Readonly<Record<string, string | number>>
const trace = '0af7651916cd43dd8448eb211c80319c'

describe('the access log', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`, timeout: 240_000 }, () => {
  let mesh: Mesh
  let friend: Shell
  let stranger: Shell
  let file: string
  let beside: Running | undefined
  let tcpPort = 0

  const lines = (from = file): readonly Line[] =>
    existsSync(from)
      ? readFileSync(from, 'utf8')
          .split('\n')
          .slice(0, -1)
          .map(line => JSON.parse(line) as Line)
      : []
  /** The first line that has all of this, when it is there. */
  async function line(wanted: Line): Promise<Line> {
    let found: Line | undefined
    const fits = (each: Line): boolean => Object.entries(wanted).every(([key, value]) => each[key] === value)
    await mesh.until(`a line with ${JSON.stringify(wanted)}`, () => (found = lines().find(fits)) !== undefined)
    return found!
  }
  const log = (accessLog: object, target: object = { kind: 'Namespace' }, name = 'log'): Promise<void> =>
    apply(mesh, 'TelemetryPolicy', name, { targetRefs: [target], accessLog: { destination: { type: 'File', path: file }, ...accessLog } })

  before(async () => {
    mesh = await Mesh.start()
    const folder = join(mesh.folder, 'log')
    mkdirSync(folder)
    chmodSync(folder, 0o777)
    file = join(folder, 'access.log')
    serve(mesh, 'web')
    mesh.run('raw', [process.execPath, script('route-filters', 'echo.mjs')], { flags: ['--port', '7000/tcp'] })
    if (lacksEnvoy === false) await startEnvoy()
    for (const name of ['web', 'raw', ...(lacksEnvoy === false ? ['beside'] : [])]) await mesh.healthy(name)
    friend = mesh.shell('friend')
    stranger = mesh.shell('stranger')
    await Promise.all([friend.says('true'), stranger.says('true')])
    await mesh.client.apply(
      { ...kinds.workload, plural: 'meshes', namespaced: false },
      {
        apiVersion: 'weft.dev/v1alpha1',
        kind: 'Mesh',
        metadata: { name: 'default' },
        spec: { access: { tellWhy: ['spiffe://weft.local/ns/default/sa/stranger'] } },
      },
    )
    const friends = [{ from: [{ serviceAccounts: ['friend'] }] }]
    await apply(mesh, 'AccessPolicy', 'friends', { targetRefs: [{ kind: 'Namespace' }], rules: friends })
    const rules = [{ to: [{ methods: ['POST'] }] }]
    await apply(mesh, 'AccessPolicy', 'no-posts', { targetRefs: [{ name: 'web' }], action: 'Deny', rules })
  })
  after(async () => {
    await friend?.[Symbol.asyncDispose]()
    await stranger?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  async function startEnvoy(): Promise<void> {
    const [one, two, bytes] = [await freePort(), await freePort(), await freePort()]
    tcpPort = bytes
    const env = { NAME: 'beside', HTTP1: String(one), HTTP2: String(two), TCP: String(bytes), UDP: '0' }
    mesh.spawn([process.execPath, script('sidecar', 'server.mjs')], { env })
    beside = envoyBeside(mesh, 'beside', '--port', `http:${one}/http`, '--port', `tcp:${bytes}/tcp`)
    await mesh.client.apply(kinds.service, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'beside', namespace: 'default' },
      spec: {
        selector: { app: 'beside' },
        ports: [
          { name: 'http', port: 8080, targetPort: 'http', appProtocol: 'http' },
          { name: 'tcp', port: 8082, targetPort: 'tcp', appProtocol: 'tcp' },
        ],
      },
    } as never)
  }

  test('is not there until somebody wants it, and then from one moment to the next', async () => {
    await call(friend, { path: '/unlogged' })
    assert.equal(existsSync(file), false)
    await log({})
    assert.match((await said(mesh, 'TelemetryPolicy', 'log'))[0] ?? '', /^Accepted True/)
    await call(friend, { path: '/logged' })
    await line({ path: '/logged', direction: 'inbound' })
    await line({ path: '/logged', direction: 'outbound' })
    assert.deepEqual(
      lines().filter(({ path }) => path === '/unlogged'),
      [],
    )
  })

  test('tells of one call what each of its two proxies knows, and no secret of it', async () => {
    const headers = {
      authorization: 'Bearer s3cret',
      cookie: 'a=s3cret',
      traceparent: `00-${trace}-b7ad6b7169203331-01`,
      'user-agent': 'e2e "1"\t',
    }
    await call(friend, { path: '/orders?token=s3cret', headers })
    const [out, within] = [await line({ path: '/orders', direction: 'outbound' }), await line({ path: '/orders', direction: 'inbound' })]
    for (const each of [out, within]) {
      const { method, status, host, source, sourceIdentity, destination, destinationIdentity, traceId, workload } = each
      assert.deepEqual([method, status, host, traceId], ['GET', 200, 'web:8080', trace])
      assert.deepEqual([source, sourceIdentity], ['friend.default', 'spiffe://weft.local/ns/default/sa/friend'])
      assert.deepEqual([destination, destinationIdentity], ['web.default', 'spiffe://weft.local/ns/default/sa/web'])
      assert.match(String(workload), /^web-\w+\.default$/)
      assert.equal(each['requestId'], out['requestId'])
      assert.ok(Number(each['duration']) >= Number(each['firstByte']) && Number(each['bytesSent']) > 0, JSON.stringify(each))
      assert.match(String(each['userAgent']), /^e2e "1"/)
      assert.equal(each['reason'] ?? each['decision'], undefined)
    }
    assert.equal(out['backend'], 'default/web:8080')
    assert.match(String(out['endpoint']), /:\d+$/)
    assert.equal(out['attempts'], 1)
    assert.equal(out['tlsVersion'], undefined, 'the workload speaks to its own proxy')
    assert.deepEqual([within['tlsVersion'], within['protocol']], ['TLSv1.3', 'HTTP/1.1'])
    assert.match(String(within['tlsGroup']), /\w/)
    assert.deepEqual([within['policy'], within['rule']], ['default/friends', '0'], 'who let it in')
    assert.doesNotMatch(readFileSync(file, 'utf8'), /s3cret/)
  })

  test('tells of a denial the decision, policy, rule and condition that the caller is told, and explain tells', async () => {
    const { first } = await call(stranger, { path: '/posted', method: 'POST' })
    const [, decision = '', condition = ''] = /: decision (\w+-\w+): (.+)$/.exec(first['x-weft-error-detail'] ?? '') ?? []
    assert.notEqual(decision, '', JSON.stringify(first))
    const denied = await line({ path: '/posted', direction: 'inbound' })
    assert.deepEqual(
      [denied['status'], denied['reason'], denied['decision'], denied['policy'], denied['rule'], denied['condition']],
      [403, 'access-denied', decision, 'default/no-posts', '0', condition],
    )
    assert.equal(denied['sourceIdentity'], 'spiffe://weft.local/ns/default/sa/stranger')
    const counted = await metric(mesh, 'web', 'weft_access_decisions_total', 'policy="default/no-posts"', 'rule="0"', 'action="deny"')
    assert.equal(counted, 1)
    const asked = ['explain', 'request', '--from', 'stranger', '--to', 'web:8080', 'POST', '/posted', '-o', 'json']
    const { stdout } = await mesh.weft(...asked)
    assert.ok(stdout.includes(condition), `${condition}\n${stdout}`)
  })

  test('tells of connections too, of those that are carried and of those that are denied', async () => {
    const connect = (shell: Shell): Promise<string> =>
      shell.says(`${process.execPath} ${script('authorization', 'connect.mjs')} raw 7000 1`)
    await connect(friend)
    const carried = await line({ protocol: 'TCP', direction: 'inbound', sourceIdentity: 'spiffe://weft.local/ns/default/sa/friend' })
    assert.deepEqual([carried['destination'], carried['bytesReceived'], carried['bytesSent']], ['raw.default', 5, 5])
    assert.equal(carried['tlsVersion'], 'TLSv1.3')
    await connect(stranger)
    const denied = await line({ protocol: 'TCP', reason: 'access-denied', direction: 'inbound' })
    assert.match(String(denied['decision']), /^\w+-\w+$/)
    assert.match(
      String(denied['condition']),
      /^no Allow policy matches: identity .*\/sa\/stranger is not .*\/sa\/friend, of rule 0 of .*default\/friends/,
    )
    assert.equal(denied['sourceIdentity'], 'spiffe://weft.local/ns/default/sa/stranger')
  })

  test('is written by an Envoy of the same policy, with the same words', { skip: lacksEnvoy }, async () => {
    await call(friend, { to: 'http://beside:8080', path: '/beside?token=s3cret' })
    await call(stranger, { to: 'http://beside:8080', path: '/shut' })
    const told = await line({ path: '/beside', direction: 'inbound' })
    const lacks = /^Enforced True Enforced: beside-.*Envoy does not carry out decision, rule, condition and source in accessLog.format/
    await mesh.until('the status says what it leaves out', async () =>
      (await said(mesh, 'TelemetryPolicy', 'log')).some(each => lacks.test(each)),
    )
    const { method, status, listener, destination, sourceIdentity, destinationIdentity, host } = told
    assert.deepEqual([method, status, host, destination], ['GET', 200, 'beside:8080', 'beside.default'])
    assert.deepEqual(
      [sourceIdentity, destinationIdentity],
      ['friend', 'beside'].map(name => `spiffe://weft.local/ns/default/sa/${name}`),
    )
    assert.match(String(listener), /^inbound\/\d+$/)
    const denied = await line({ path: '/shut', direction: 'inbound' })
    assert.equal(denied['status'], 403)
    assert.match(String(denied['detail']), /^rbac_access_denied/)
    assert.doesNotMatch(readFileSync(file, 'utf8'), /s3cret/)
    // What is asked for holds for connections that begin then; those of TCP do with each call.
    await log({ when: [{ outcome: 'Denied' }] })
    const connect = (shell: Shell): Promise<string> =>
      shell.says(`${process.execPath} ${script('authorization', 'connect.mjs')} beside 8082 1`)
    const before = lines().length
    await connect(friend)
    await connect(stranger)
    const shut = { direction: 'inbound', destination: 'beside.default', sourceIdentity: 'spiffe://weft.local/ns/default/sa/stranger' }
    const closed = await line({
      ...shut,
      detail: 'rbac_access_denied_matched_policy[none]',
      listener: String(listener).replace(/\d+$/, String(tcpPort)),
    })
    assert.equal(closed['status'] ?? 0, 0)
    assert.deepEqual(
      lines()
        .slice(before)
        .filter(
          each =>
            each['destination'] === 'beside.default' && each['sourceIdentity'] !== shut.sourceIdentity && each['direction'] === 'inbound',
        ),
      [],
    )
    assert.equal(beside!.child.exitCode, null)
  })

  test('tells only what is asked for, and what is narrower says of itself', async () => {
    await log({ when: [{ outcome: 'Denied' }] })
    await call(friend, { path: '/fine' })
    await call(stranger, { path: '/denied' })
    await line({ path: '/denied', direction: 'inbound' })
    const web = { kind: 'Workload', labels: { app: 'web' } }
    await apply(mesh, 'TelemetryPolicy', 'off', { targetRefs: [web], accessLog: { mode: 'Disabled' } })
    await call(stranger, { path: '/silent' })
    await remove(mesh, 'TelemetryPolicy', 'off')
    await call(stranger, { path: '/again' })
    await line({ path: '/again', direction: 'inbound' })
    assert.deepEqual(
      lines().filter(({ path }) => path === '/fine' || path === '/silent'),
      [],
    )
  })

  test('goes to a collector of OpenTelemetry where that is wanted, from Envoy too', async () => {
    const taken: Buffer[] = []
    const collector = createServer()
    collector.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on('error', () => {})
      if (headers[':path'] === '/opentelemetry.proto.collector.logs.v1.LogsService/Export')
        stream.on('data', (bytes: Buffer) => taken.push(bytes))
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        stream.end(Buffer.alloc(5))
      })
    })
    const sessions = new Set<{ destroy(): void }>()
    collector.on('session', session => void sessions.add(session))
    await new Promise<void>(resolve => collector.listen(0, '127.0.0.1', resolve))
    try {
      const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
      const heard = (text: string): boolean => Buffer.concat(taken).includes(text)
      await log({ destination: { type: 'OTLP', endpoint }, format: { type: 'JSON', fields: ['path', 'direction', 'status', 'policy'] } })
      await call(stranger, { path: '/collected', method: 'POST' })
      await mesh.until('the line of our own proxy', () => heard('/collected') && heard('default/no-posts') && heard('service.name'))
      // A proxy that ends hands over what it has, in a second; a busy machine may take longer.
      await mesh.until('what a proxy tells at its end', async () => {
        await mesh.job('brief', [process.execPath, '-e', "await fetch('http://web:8080/brief')"])
        return heard('/brief')
      })
      if (lacksEnvoy !== false) return
      const open = (): Promise<string> => friend.says(`${process.execPath} ${script('authorization', 'connect.mjs')} beside 8082 1`)
      await log({ destination: { type: 'OTLP', endpoint }, format: { type: 'Text', template: 'by otlp {listener} {bytesSent}' } })
      await mesh.until('the line of Envoy', async () => {
        await open()
        return heard(`by otlp inbound/${tcpPort} `)
      })
    } finally {
      for (const session of sessions) session.destroy()
      await new Promise(resolve => collector.close(resolve))
      await log({})
    }
  })

  test('goes on in a new file when the old one was moved away, as text where that is wanted; nothing was dropped', async () => {
    renameSync(file, `${file}.1`)
    await log({ format: { type: 'Text', template: '{method} {path} {status} "{reason}" {decision}' }, when: [{ statusAtLeast: 400 }] })
    let count = 0
    const written = (): string => (existsSync(file) ? readFileSync(file, 'utf8') : '')
    await mesh.until('the new file has lines', async () => {
      await call(stranger, { path: `/moved-${count++}` })
      return /^GET \/moved-\d+ 403 "access-denied" \w+-\w+$/m.test(written())
    })
    // A proxy that ends writes what it has.
    await mesh.until('what a proxy tells at its end', async () => {
      await mesh.job('short', [process.execPath, '-e', "await fetch('http://web:8080/last')"])
      return /^GET \/last 403 "-" -$/m.test(written())
    })
    assert.equal(await metric(mesh, 'web', 'weft_access_log_lines_total', 'outcome="dropped"'), 0)
    assert.ok((await metric(mesh, 'web', 'weft_access_log_lines_total', 'outcome="written"')) > 0)
  })
})
