/** The command line against a real control plane and real proxies, as a person or a script uses it. */

import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServedKind } from '#api/client'
import { kinds, Mesh, root, type Done } from '../harness/mesh.ts'

let mesh: Mesh
before(async () => {
  mesh = await Mesh.start()
})
after(() => mesh[Symbol.asyncDispose]())

const weft = (...args: readonly string[]): Promise<Done> => mesh.weft(...args)

/** Ends with 0 and gives what it printed. */
async function says(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await weft(...args)
  assert.equal(code, 0, `weft ${args.join(' ')}\n${stdout}${stderr}`)
  return stdout
}

async function failsWith(expected: number, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await weft(...args)
  assert.equal(code, expected, `weft ${args.join(' ')}\n${stdout}${stderr}`)
  assert.doesNotMatch(stderr, /\n +at /, 'no stack')
  return stdout + stderr
}

function file(name: string, text: string): string {
  const path = join(mesh.folder, name)
  writeFileSync(path, text)
  return path
}

const service = (name: string, more = ''): string => `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { app: ${name} }
  ports: [{ name: http, port: 8080, appProtocol: http }]
${more}`
const shop = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n---\n'
const split = (weight: number, other = 'orders'): string => `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: split, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: orders }]
  rules:
    - backendRefs:
        - { name: orders, port: 8080, weight: ${weight} }
        - { name: ${other}, port: 8080, weight: ${100 - weight} }
`

test('apply creates with the namespace it needs, then has nothing to do, then changes', async () => {
  const path = file('shop.yaml', `${shop}${service('orders')}---\n${split(90)}`)
  assert.equal(
    await says('apply', '-f', path, '--dry-run'),
    'namespace/shop created (dry run)\nservice/orders created (dry run)\nhttproute/split created (dry run)\n',
  )
  assert.equal(await says('apply', '-f', path), 'namespace/shop created\nservice/orders created\nhttproute/split created\n')
  assert.equal(await says('apply', '-f', path), 'namespace/shop unchanged\nservice/orders unchanged\nhttproute/split unchanged\n')
  file('shop.yaml', `${shop}${service('orders')}---\n${split(80)}`)
  assert.match(await says('apply', '-f', path), /httproute\/split configured/)
})

test('documents come from standard input too', async () => {
  const running = mesh.spawn([process.execPath, join(root, 'src/bin/weft.ts'), 'apply', '-f', '-', '-o', 'name'], {
    env: { WEFT_CONTROL: mesh.url },
  })
  running.child.stdin!.end(service('orders'))
  assert.deepEqual(await running.exited.then(({ code, stdout }) => [code, stdout]), [0, 'service/orders\n'])
})

test('get shows tables, documents, names; by plural, short name, kind and KIND/NAME', async () => {
  assert.match(await says('get', 'svc', '-n', 'shop'), /^NAME +TYPE[^\n]*\norders /)
  assert.match(await says('get', 'Service', 'orders', '-n', 'shop', '-o', 'wide'), /SELECTOR\norders .*app=orders/)
  assert.match(await says('get', 'httproutes', '-A'), /^NAMESPACE +NAME[^\n]*\nshop +split /)
  assert.equal(JSON.parse(await says('get', 'service/orders', '-n', 'shop', '-o', 'json')).metadata.name, 'orders')
  assert.match(await says('get', 'svc,httproute', '-n', 'shop', '-o', 'yaml'), /kind: List[\s\S]*kind: Service[\s\S]*kind: HTTPRoute/)
  assert.equal(await says('get', 'svc,httproute', '-n', 'shop', '-o', 'name'), 'service/orders\nhttproute/split\n')
  assert.doesNotMatch(await says('get', 'svc', 'orders', '-n', 'shop', '-o', 'yaml'), /managedFields/)
})

test('what is not there is told beside what is, and an unknown kind with the one that was meant', async () => {
  const some = await failsWith(1, 'get', 'svc', 'orders', 'nope', '-n', 'shop')
  assert.match(some, /^orders /m)
  assert.match(some, /services "nope" not found/)
  assert.match(await failsWith(2, 'get', 'httproot'), /there is no kind "httproot"; did you mean "httproute"\?/)
})

test('diff shows what apply would change, and exits 1; without a change it exits 0, without an answer 2', async () => {
  const path = file('diff.yaml', split(70))
  const shown = await failsWith(1, 'diff', '-f', path)
  assert.match(shown, /^--- live\/httproute\/shop\/split\n\+\+\+ new\/httproute\/shop\/split\n@@/)
  assert.match(shown, /^- +weight: 80$/m)
  assert.match(shown, /^\+ +weight: 70$/m)
  await says('apply', '-f', path)
  assert.equal(await says('diff', '-f', path), '')
  assert.match(await failsWith(1, 'diff', '-f', file('new.yaml', service('fresh'))), /^--- \/dev\/null\n/)
  await failsWith(2, 'diff', '-f', 'missing.yaml')
})

test('when the server refuses one document, none is applied, and the place of the mistake is named', async () => {
  const path = file('homeless.yaml', `${service('welcome')}---\n${service('homeless').replace('shop', 'nowhere')}`)
  const told = await failsWith(1, 'apply', '-f', path)
  assert.match(told, /homeless\.yaml:\d+:1: Service nowhere\/homeless: .*"nowhere" not found/)
  assert.match(told, /1 problem; nothing was applied/)
  assert.equal(await mesh.client.find(kinds.service, 'welcome', { namespace: 'shop' }), undefined)
})

test('a field that somebody else manages is not taken over unless asked', async () => {
  const other = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'split', namespace: 'shop' },
    spec: { rules: [{ backendRefs: [{ name: 'orders', port: 8080, weight: 1 }] }] },
  }
  await mesh.client.apply(kinds.httpRoute, other, { fieldManager: 'rollout', force: true })
  const path = file('split.yaml', split(60))
  assert.match(
    await failsWith(1, 'apply', '-f', path),
    /split\.yaml:1:1: HTTPRoute shop\/split: others manage .*rollout.*--force-conflicts/,
  )
  assert.match(await says('apply', '-f', path, '--force-conflicts'), /httproute\/split configured/)
})

test('with proxies: apply --wait counts them, status and proxy show them, describe tells whom it affects', async t => {
  const [port, admin] = [8080, 'http']
  const listener = `require('http').createServer((_, reply) => reply.end('ok')).listen(Number(process.env.PORT ?? ${port}), '127.0.0.1')`
  await using _orders = mesh.run('orders', [process.execPath, '-e', listener], {
    flags: ['-n', 'shop', '--capture', 'proxy', '--port', `${admin}:${port}/http`, '--ready', 'none'],
  })
  await using _caller = mesh.run('caller', ['sleep', '600'], { flags: ['-n', 'shop', '--capture', 'proxy'] })
  await mesh.until('both proxies', async () => (await mesh.client.proxies()).filter(({ state }) => state === 'synced').length === 2)

  await t.test('apply --wait', async () => {
    assert.match(
      await says('apply', '-f', file('split.yaml', split(50)), '--wait'),
      /httproute\/split configured\nactive on 2\/2 proxies in \d+/,
    )
    const told = await failsWith(1, 'apply', '-f', file('split.yaml', split(50, 'missing')), '--wait')
    assert.match(told, /active on 2\/2 proxies/)
    assert.match(told, /httproute\/split at service\/orders: ResolvedRefs is False \(BackendNotFound\): .*missing/)
    await says('apply', '-f', file('split.yaml', split(50)), '--wait=20s')
  })

  await t.test('status and proxy', async () => {
    assert.match(await says('status'), /^control plane +up [\s\S]*2 proxies, 2 in sync[\s\S]*caller-\w+\.shop +caller\.shop .*synced/)
    const { reachable, proxies, concerns } = JSON.parse(await says('status', '-o', 'json'))
    assert.deepEqual([reachable, proxies.length, concerns], [true, 2, []])
    assert.match(await says('proxy', 'list', '-n', 'shop', '-o', 'wide'), /spiffe:\/\/weft\.local\/ns\/shop\/sa\/orders/)
    assert.match(
      await says('proxy', 'routes', 'caller', '-n', 'shop'),
      /shop\/orders:8080 50%, shop\/orders:8080 50% +HTTPRoute shop\/split rule 0/,
    )
    assert.match(await says('proxy', 'endpoints', 'caller', '-n', 'shop'), /shop\/orders:8080 +127\.0\.0\.1:\d+ +orders-\w+\.shop/)
    const [id] = (await says('proxy', 'list', '-n', 'shop', '-o', 'name')).split('\n')
    assert.equal(JSON.parse(await says('proxy', 'config', id!, '-o', 'json')).id, id)
    assert.match(await failsWith(1, 'proxy', 'config', 'nobody'), /no proxy "nobody"; services with proxies: caller, orders/)
  })

  await t.test('describe', async () => {
    const told = await says('describe', 'httproute', 'split', '-n', 'shop')
    assert.match(told, /Conditions:\n +TYPE[\s\S]*Accepted +True[\s\S]*Proxies:\n +caller-\w+\.shop \(synced\)/)
  })

  await t.test('the control plane gone: status says so, since when, and that the proxies go on', async () => {
    const watching = mesh.spawn([process.execPath, join(root, 'src/bin/weft.ts'), 'get', 'svc', '-n', 'shop', '-w'], {
      env: { WEFT_CONTROL: mesh.url },
    })
    await mesh.until('the first row', () => watching.stdout.includes('orders'))
    await mesh.control.stop('SIGKILL')
    const told = await failsWith(1, 'status')
    assert.match(told, /control plane +down: .*\(from WEFT_CONTROL\) does not answer: connection refused/)
    assert.match(told, /last seen \d+s ago/)
    assert.match(told, /caller-\w+\.shop +serving/)
    const { reachable, proxies } = JSON.parse((await weft('status', '-o', 'json')).stdout)
    assert.deepEqual([reachable, proxies.length], [false, 2])
    assert.match(await failsWith(1, 'apply', '-f', file('split.yaml', split(40))), /does not answer: connection refused\n +is it running\?/)
    await mesh.startControl()
    await says('apply', '-f', file('later.yaml', service('later')))
    await mesh.until('the watch to go on', () => watching.stdout.includes('later'))
    await watching.stop()
    await mesh.until('both proxies again', async () => (await mesh.client.proxies()).filter(({ state }) => state === 'synced').length === 2)
  })
})

test('a token of weft token create lets a workload join that could not ask for one', async () => {
  const token = (await says('token', 'create', '-n', 'shop', '--service-account', 'guest', '--ttl', '1m')).trim()
  assert.match(token, /^[\w-]+\.[\w-]+\.[\w-]+$/)
  const args = [
    'run',
    '--name',
    'guest',
    '-n',
    'shop',
    '--capture',
    'proxy',
    '--token',
    token,
    '--control',
    'http://127.0.0.1:9',
    '--',
    'sh',
    '-c',
    'echo joined',
  ]
  const { code, stdout, stderr } = await weft(...args)
  assert.deepEqual([code, stdout], [0, 'joined\n'], stderr)
})

test('check names the control plane, version compares both ends, topology answers without traffic', async () => {
  const { checks } = JSON.parse((await weft('check', '-o', 'json')).stdout) as { checks: { name: string; ok: string }[] }
  assert.deepEqual(
    checks.filter(({ name }) => ['control plane', 'versions', 'clocks'].includes(name)).map(({ ok }) => ok),
    ['yes', 'yes', 'yes'],
  )
  const { client, control } = JSON.parse(await says('version', '-o', 'json'))
  assert.equal(client, control.version)
  assert.ok(Array.isArray(JSON.parse(await says('topology', '-o', 'json')).edges))
})

test('completion knows the names of kinds and objects', async () => {
  assert.match(await says('__complete', '--', 'get', 'httpr'), /^httproutes\n$/)
  assert.match(await says('__complete', '--', 'get', 'svc', '-n', 'shop', 'ord'), /^orders\n$/)
  assert.match(await says('__complete', '--', 'get', 'svc', '-n', ''), /^default\nshop\nweft-system\n$/)
})

test('a reader that goes away ends a command quietly', () => {
  const program = `"${process.execPath}" "${join(root, 'src/bin/weft.ts')}"`
  const said = execFileSync('bash', ['-c', `${program} topology -w -o json | head -c 5; echo "\${PIPESTATUS[0]}"`], {
    env: { ...process.env, WEFT_CONTROL: mesh.url, XDG_CONFIG_HOME: join(mesh.folder, 'home') },
    encoding: 'utf8',
    timeout: 20_000,
  })
  assert.equal(said, '{"at"0\n')
})

test('delete removes by name and by file, and says what is not there', async () => {
  await says('apply', '-f', file('all.yaml', `${shop}${service('orders')}---\n${split(50)}`), '--force-conflicts')
  assert.equal(await says('delete', 'httproute', 'split', '-n', 'shop'), 'httproute/split deleted\n')
  assert.match(await failsWith(1, 'delete', 'httproute', 'split', '-n', 'shop'), /not found/)
  await says('delete', 'httproute/split', '-n', 'shop', '--ignore-not-found')
  assert.equal(
    await says('delete', '-f', file('gone.yaml', `${shop}${service('orders')}`)),
    'service/orders deleted\nnamespace/shop deleted\n',
  )
  await failsWith(2, 'delete')
  await failsWith(2, 'delete', 'svc')
})

test('every kind that is served can be got by each of its names', async () => {
  const served: readonly ServedKind[] = await mesh.client.kinds()
  assert.ok(served.length >= 15)
  for (const { plural, singular, shortNames } of served.slice(0, 3))
    for (const name of [plural, singular, ...shortNames]) await says('get', name, '-A')
})
