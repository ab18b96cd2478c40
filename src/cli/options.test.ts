import { test } from 'node:test'
import { noExclusions } from '#base/exclusions'
import assert from 'node:assert/strict'
import { Stopped } from './exit.ts'
import { controlOptions, demoOptions, runOptions, type Raw } from './options.ts'

const control = { url: 'http://127.0.0.1:7070', from: 'the default', namespace: 'default', credentials: {} }
const run = (raw: Raw, command: readonly string[] = ['node', 'server.js']) => runOptions(raw, command, control, 'abc123')
const problemsOf = (read: () => unknown): readonly string[] => {
  try {
    read()
  } catch (thrown) {
    assert.ok(thrown instanceof Stopped)
    assert.equal(thrown.code, 2)
    return thrown.message.split('\n')
  }
  return []
}

test('a workload needs no more than a name and a command', () => {
  assert.deepEqual(run({ name: 'orders' }), {
    name: 'orders',
    workload: 'orders-abc123',
    namespace: 'default',
    service: 'orders',
    ports: [],
    labels: { app: 'orders' },
    probe: { type: 'none' },
    publish: [],
    capture: 'auto',
    exclude: noExclusions,
    externalVips: false,
    dnsServers: [],
    adminPort: 0,
    drainMs: 5000,
    control,
    command: ['node', 'server.js'],
  })
})

test('every flag of run is read', () => {
  const options = run({
    name: 'reviews-v2',
    service: 'reviews',
    namespace: 'shop',
    appVersion: 'v2',
    port: ['8080', 'admin:9090/http', '6379/tcp'],
    label: ['tier=backend', 'weft.dev/team=a.b'],
    readyHttp: '8080/healthz?deep=1',
    publish: ['9000:8080', '0.0.0.0:0:9090', '[::1]:9001:8080'],
    capture: 'proxy',
    token: 'abc',
    address: '10.0.0.7',
    adminPort: '15000',
    drain: '2.5',
  })
  assert.equal(options.workload, 'reviews-v2-abc123')
  assert.equal(options.service, 'reviews')
  assert.equal(options.version, 'v2')
  assert.deepEqual(options.ports, [
    { name: 'port-8080', port: 8080, protocol: 'detect' },
    { name: 'admin', port: 9090, protocol: 'http' },
    { name: 'port-6379', port: 6379, protocol: 'tcp' },
  ])
  assert.deepEqual(options.labels, { app: 'reviews', version: 'v2', tier: 'backend', 'weft.dev/team': 'a.b' })
  assert.deepEqual(options.probe, { type: 'http', port: 8080, path: '/healthz?deep=1' })
  assert.deepEqual(options.publish, [
    { host: '127.0.0.1', hostPort: 9000, port: 8080 },
    { host: '0.0.0.0', hostPort: 0, port: 9090 },
    { host: '::1', hostPort: 9001, port: 8080 },
  ])
  assert.equal(options.drainMs, 2500)
  assert.equal(options.adminPort, 15000)
})

test('a workload with a port is ready when the port accepts, unless said otherwise', () => {
  assert.deepEqual(run({ name: 'a', port: ['80'] }).probe, { type: 'tcp' })
  assert.deepEqual(run({ name: 'a', port: ['80'], ready: 'none' }).probe, { type: 'none' })
})

test('the name of an instance stays a label, however long the name of the workload is', () => {
  const name = 'a'.repeat(55) + '-bcdefgh'
  assert.equal(run({ name }).workload, `${'a'.repeat(55)}-abc123`)
})

test('everything that is wrong with the flags is said together', () => {
  const problems = problemsOf(() =>
    run(
      {
        name: 'Orders',
        port: ['http:', '70000', '80/ftp', '81', '81/tcp'],
        label: ['novalue'],
        readyHttp: '/x',
        ready: 'tcp',
        publish: ['80'],
        capture: 'magic',
        adminPort: '-1',
        drain: 'soon',
      },
      [],
    ),
  )
  const about = [
    '--name',
    '--port "http:"',
    '--port "70000"',
    '--port "80/ftp"',
    '--port 81',
    '--label',
    '--ready and',
    '--ready-http',
    '--publish',
    '--capture',
    '--admin-port',
    '--drain',
    'the command',
  ]
  for (const start of about)
    assert.ok(
      problems.some(says => says.startsWith(start)),
      `${start} in\n${problems.join('\n')}`,
    )
  assert.equal(problems.length, about.length)
})

test('a missing name is one problem, not two', () => {
  assert.deepEqual(
    problemsOf(() => run({})),
    ['--name is missing: give a name for the workload, such as --name orders'],
  )
})

test('the control plane listens on loopback unless told otherwise', () => {
  assert.deepEqual(controlOptions({}), {
    api: { host: '127.0.0.1', port: 7070, names: [], isInsecure: false },
    xds: { host: '127.0.0.1', port: 7071 },
    trustDomain: 'weft.local',
    json: false,
    requireLogin: false,
  })
  const options = controlOptions({ apiPort: '0', xdsPort: '0', data: './mesh', output: 'json', trustDomain: 'prod.example' })
  assert.deepEqual(options, {
    api: { host: '127.0.0.1', port: 0, names: [], isInsecure: false },
    xds: { host: '127.0.0.1', port: 0 },
    trustDomain: 'prod.example',
    json: true,
    requireLogin: false,
    data: './mesh',
  })
})

test('certificates of workloads live from three seconds to a day', () => {
  assert.equal(controlOptions({ leafLife: '1h' }).leafLifeMs, 3_600_000)
  for (const leafLife of ['2s', '25h', 'soon'])
    assert.deepEqual(
      problemsOf(() => controlOptions({ leafLife })).map(says => says.split(/[ :]/)[0]),
      ['--leaf-life'],
    )
})

test('two listeners cannot share a port', () => {
  assert.deepEqual(
    problemsOf(() => controlOptions({ apiPort: '7071', trustDomain: 'Not Good' })).map(says => says.split(' ')[0]),
    ['--api-port', '--trust-domain'],
  )
})

test('the demo runs for a while or until interrupted', () => {
  assert.deepEqual(demoOptions({}), { output: 'table', keep: false })
  assert.deepEqual(demoOptions({ for: '1m30s', output: 'json', rate: '50', keep: true }), {
    output: 'json',
    keep: true,
    forMs: 90_000,
    rate: 50,
  })
  assert.equal(problemsOf(() => demoOptions({ for: '0', rate: '0' })).length, 2)
})

test('what interception leaves alone is ports, networks and users, as lists', () => {
  const { exclude, detectMs, externalVips } = run({
    name: 'a',
    excludeOutboundPorts: ['5432,6000-6010', '9000'],
    excludeOutboundCidrs: ['10.0.0.0/8, fd00::/8'],
    excludeOutboundUids: ['backup,1001'],
    detectTimeout: '200ms',
    externalVips: true,
  })
  assert.deepEqual(exclude, {
    ...noExclusions,
    outboundPorts: ['5432', '6000-6010', '9000'],
    outboundCidrs: ['10.0.0.0/8', 'fd00::/8'],
    outboundUids: ['backup', '1001'],
  })
  assert.deepEqual([detectMs, externalVips], [200, true])
})

for (const [flag, text, says] of [
  ['excludeOutboundPorts', '0', /must be ports/],
  ['excludeOutboundPorts', '20-10', /must be ports/],
  ['excludeOutboundCidrs', '10.0.0.0/33', /must be addresses or networks/],
  ['excludeOutboundCidrs', '300.1.1.1', /must be addresses or networks/],
  ['excludeOutboundUids', 'a; drop', /must be names or numbers/],
] as const)
  test(`${flag} "${text}" is refused`, () => assert.match(problemsOf(() => run({ name: 'a', [flag]: [text] })).join(), says))

test('a demand for PROXY headers is about published ports, and is told where there are none', () => {
  assert.equal(run({ name: 'a', port: ['80'], publish: ['0:80'], acceptProxyProtocol: true }).acceptProxyProtocol, true)
  assert.throws(() => run({ name: 'a', port: ['80'], acceptProxyProtocol: true }), /--accept-proxy-protocol .* add --publish/)
})

test('ports of UDP have numbers of their own, are not waited for, and cannot be published', () => {
  const options = run({ name: 'dns', port: ['53/udp', '53/tcp'] })
  assert.deepEqual(options.ports, [
    { name: 'udp-53', port: 53, protocol: 'udp' },
    { name: 'port-53', port: 53, protocol: 'tcp' },
  ])
  assert.deepEqual(options.probe, { type: 'tcp' })
  assert.deepEqual(run({ name: 'dns', port: ['53/udp'] }).probe, { type: 'none' })
  assert.match(
    problemsOf(() => run({ name: 'dns', port: ['53/udp', 'other:53/udp'] })).join(),
    /--port 53: the port or its name is given twice/,
  )
  assert.match(problemsOf(() => run({ name: 'dns', port: ['53/udp'], publish: ['9000:53'] })).join(), /only ports of TCP can be published/)
})

test('where a workload runs and its part of the traffic are read, or refused with what is expected', () => {
  const { locality, weight } = run({ name: 'a', locality: 'eu-west/a/rack-7', weight: '3' })
  assert.deepEqual([locality, weight], [{ region: 'eu-west', zone: 'a', host: 'rack-7' }, 3])
  assert.deepEqual(run({ name: 'a', locality: 'eu/' }).locality, { region: 'eu', zone: '' })
  for (const text of ['', '/a', 'eu/a/b/c', 'eu/a/', 'e u/a'])
    assert.match(problemsOf(() => run({ name: 'a', locality: text })).join(), /--locality.*must be REGION\/ZONE/, text)
  assert.match(problemsOf(() => run({ name: 'a', weight: '-1' })).join(), /--weight/)
})

test('readiness is asked by HTTP, gRPC, a command or a connection, as often as is said', () => {
  const probeOf = (raw: Parameters<typeof run>[0]) => run({ name: 'cart', port: ['8080'], ...raw }).probe
  assert.deepEqual(probeOf({ readyGrpc: '9000/shop.Cart' }), { type: 'grpc', port: 9000, service: 'shop.Cart' })
  assert.deepEqual(probeOf({ readyGrpc: '9000' }), { type: 'grpc', port: 9000, service: '' })
  const often = { intervalMs: 5000, timeoutMs: 1000, failures: 3 }
  assert.deepEqual(probeOf({ readyInterval: '5s', readyFailures: '3' }), { type: 'tcp', often })
  const { probe, readyCommand } = run({ name: 'db', port: ['5432/tcp'], readyCommand: 'pg_isready -q' })
  assert.deepEqual([probe, readyCommand], [{ type: 'command' }, ['/bin/sh', '-c', 'pg_isready -q']])
  for (const [raw, start] of [
    [{ readyGrpc: 'cart' }, '--ready-grpc'],
    [{ readyCommand: 'true', readyHttp: '8080/' }, '--ready-http and --ready-command exclude'],
    [{ readyInterval: '1ms' }, '--ready-interval must be from 50ms'],
    [{ readyInterval: '1s', readyTimeout: '2s' }, '--ready-timeout is longer'],
  ] as const) {
    const problems = problemsOf(() => run({ name: 'cart', ...raw }))
    assert.ok(problems[0]?.startsWith(start), problems.join('\n'))
  }
})

test('a template of SPIFFE ids that could be read in two ways is refused', () => {
  assert.equal(controlOptions({ spiffeIdTemplate: '/{namespace}/{serviceAccount}' }).idTemplate, '/{namespace}/{serviceAccount}')
  const [says] = problemsOf(() => controlOptions({ spiffeIdTemplate: '/{namespace}-{serviceAccount}' }))
  assert.match(says!, /^--spiffe-id-template "\/\{namespace\}-\{serviceAccount\}": its segment .* is not just one variable/)
})
