/** Identities by somebody else's word: certificates of another authority bring workloads in, and SPIFFE agents give workloads and the control plane who they are. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { createRoot, issueLeaf } from '../../src/identity/issue.ts'
import { newKey } from '../../src/identity/key.ts'
import type { SpiffeId } from '../../src/identity/spiffe.ts'
import { goProgram } from '../conformance/peers.ts'
import { startServer } from '../harness/load.ts'
import { type Done, Mesh, root, type Running } from '../harness/mesh.ts'

const skip = process.platform !== 'linux' ? 'there is no SO_PEERCRED here' : false

/** An authority of others: its root, and certificates by it as one file with the key. */
async function authority(trustDomain: string) {
  const signer = createRoot(trustDomain, await newKey(), Date.now())
  return {
    root: signer.root,
    give: async (id: string, lifeMs = 3_600_000, at = Date.now()): Promise<string> => {
      const key = await newKey()
      return (
        key.pem +
        issueLeaf(signer, key.public, id as SpiffeId, at, { lifeMs })
          .chain.filter(pem => pem !== signer.root)
          .join('')
      )
    },
  }
}

const write = (mesh: Mesh, name: string, content: string): string => {
  const path = join(mesh.folder, name)
  writeFileSync(path, content, { mode: 0o600 })
  return path
}
const apply = async (mesh: Mesh, kind: string, name: string, spec: object | undefined, namespace?: string): Promise<void> => {
  const apiVersion = kind === 'Namespace' ? 'v1' : 'weft.dev/v1alpha1'
  const document = {
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    ...(spec === undefined ? {} : { spec }),
  }
  const { code, stderr } = await mesh.weft('apply', '-f', write(mesh, `${kind}-${name}.yaml`, JSON.stringify(document)))
  assert.equal(code, 0, stderr)
}
const xdsOf = async (mesh: Mesh): Promise<string> => {
  const { host, port } = (await mesh.client.status()).xds
  return `${host}:${port}`
}
const rootsOf = async (mesh: Mesh): Promise<string> =>
  write(mesh, 'roots.pem', await (await fetch(`${mesh.url}/weft/v1/trust-bundle`)).text())

test('a valid certificate of another authority brings its registered workload in; one that expired, of nobody known or not registered does not', {
  skip,
}, async () => {
  const [partner, stranger] = [await authority('partner.example'), await authority('partner.example')]
  await using mesh = new Mesh({ control: ['--attest-roots', 'partner.pem'] })
  write(mesh, 'partner.pem', partner.root)
  await mesh.startControl()
  await apply(mesh, 'Registration', 'orders', {
    serviceAccount: 'orders',
    certificate: { spiffeId: 'spiffe://partner.example/legacy/orders' },
  })
  const common = ['--capture', 'proxy', '--xds', await xdsOf(mesh), '--roots', await rootsOf(mesh)]
  let machines = 0
  const enter = async (service: string, certificate: string, ...flags: readonly string[]): Promise<Done> => {
    const state = join(mesh.folder, `machine-${machines++}`)
    mkdirSync(state)
    const file = write(mesh, `certificate-${machines}.pem`, certificate)
    return mesh.job(service, ['/bin/echo', 'in the mesh'], {
      flags: [...common, '--certificate', file, ...flags],
      env: { XDG_STATE_HOME: state },
    })
  }
  const id = 'spiffe://partner.example/legacy/orders'
  const joined = await enter('orders', await partner.give(id))
  assert.equal(joined.stdout, 'in the mesh\n', joined.stderr)
  assert.match(mesh.control.stderr, /"identity":"spiffe:\/\/weft\.local\/ns\/default\/sa\/orders".*"proof":"certificate of others"/)
  const refused = async (done: Promise<Done>, says: RegExp): Promise<void> => {
    const { code, stdout, stderr } = await done
    assert.match(stderr, says)
    assert.deepEqual([code, stdout], [1, ''])
  }
  await refused(enter('payments', await partner.give(id)), /is registered as .*sa\/orders, not as .*sa\/payments/)
  await refused(
    enter('orders', await partner.give('spiffe://partner.example/other')),
    /no Registration has the certificate spiffe:\/\/partner\.example\/other/,
  )
  await refused(enter('orders', await partner.give(id, 60_000, Date.now() - 3_600_000)), /proves nothing here: .*expired at/)
  await refused(enter('orders', await stranger.give(id)), /leads to no root that this control plane takes as attestation/)
  // The certificate of one, with the key of another.
  const [mine, theirs] = [await partner.give(id), await partner.give(id)]
  const mixed = mine.slice(0, mine.indexOf('-----BEGIN CERTIFICATE')) + theirs.slice(theirs.indexOf('-----BEGIN CERTIFICATE'))
  await refused(enter('orders', mixed), /not signed by the key of the certificate/)

  await using plain = await Mesh.start()
  const foreign = ['--xds', await xdsOf(plain), '--roots', await rootsOf(plain)]
  await refused(enter('orders', await partner.give(id), ...foreign), /takes no certificates of others as attestation/)
})

const found = goProgram('workload-api', join(root, 'test/e2e/workload-api/go'))

suite("a SPIFFE agent in Go, by go-spiffe's own messages", { skip: skip === false && 'missing' in found ? found.missing : skip }, () => {
  const program = 'path' in found ? found.path : ''
  const stubIn = (mesh: Mesh) => {
    const folder = join(mesh.folder, 'svids')
    const socket = join(mesh.folder, 'agent.sock')
    mkdirSync(folder)
    return {
      folder,
      socket,
      put: (name: string, content: string): void => writeFileSync(join(folder, name), content),
      serve: async (): Promise<Running> => {
        const running = mesh.spawn([program, 'stub', socket, folder])
        await mesh.until('the agent', () => running.stdout.includes('serving'))
        return running
      },
    }
  }
  const giveBy = async (signer: ReturnType<typeof createRoot>, id: string): Promise<string> => {
    const own = await newKey()
    return own.pem + issueLeaf(signer, own.public, id as SpiffeId, Date.now(), { lifeMs: 600_000 }).chain[0]!
  }

  test('a mesh whose identities all come from an agent: the control plane too, with every renewal, and while the agent restarts', async () => {
    await using mesh = new Mesh({ control: ['--authority', 'agent.yaml'] })
    const { socket, put, serve } = stubIn(mesh)
    const signer = createRoot('weft.local', await newKey(), Date.now())
    const renew = async (): Promise<void> => {
      for (const id of ['weft-system/sa/control', 'default/sa/server', 'default/sa/caller'])
        put(`${id.replaceAll('/', '-')}.pem`, await giveBy(signer, `spiffe://weft.local/ns/${id}`))
    }
    put('bundle.pem', signer.root)
    await renew()
    let agent = await serve()
    write(mesh, 'agent.yaml', `type: WorkloadAPI\naddress: unix://${socket}\n`)
    await mesh.startControl()
    assert.equal((await mesh.client.status()).authority.type, 'WorkloadAPI')
    const flags = ['--capture', 'proxy', '--spiffe-socket', `unix://${socket}`, '--xds', await xdsOf(mesh)]
    startServer(mesh, 'server', { instance: 'one', flags })
    await mesh.healthy('server')
    await using shell = mesh.shell('caller', { flags })
    const ask = async (): Promise<void> => assert.match(await shell.says('curl -sS -D - http://server:8080/'), /one/)
    await ask()
    const serial = async () => (await mesh.client.proxies()).find(({ service }) => service === 'server')?.certificate?.serial
    await mesh.until('a certificate', async () => (await serial()) !== undefined)
    const first = await serial()
    await renew()
    agent.child.kill('SIGHUP')
    await mesh.until('the next certificate', async () => (await serial()) !== first)
    await ask()
    const before = await serial()
    await agent.stop('SIGKILL')
    await ask()
    await renew()
    agent = await serve()
    await mesh.until('a certificate after the restart', async () => (await serial()) !== before)
    await ask()
    // Nobody gets an identity here otherwise.
    const refused = await mesh.job('other', ['/bin/true'], { flags: ['--capture', 'proxy'] })
    assert.match(refused.stderr, /certificates of this mesh come from SPIFFE agents.*sa\/other there, and start it with --spiffe-socket/)
  })

  test('of several identities the fitting one is taken, renewed as the agent says; another trust domain, none that fits and no agent are told', async () => {
    const [ours, other] = [await authority('weft.local'), await authority('other.example')]
    await using mesh = new Mesh({ control: ['--authority', 'files.yaml'] })
    const { socket, folder, put, serve } = stubIn(mesh)
    // The same root signs for the agent and for the control plane: its server is known by the agent's bundle.
    const key = await newKey()
    const signer = createRoot('weft.local', key, Date.now())
    write(mesh, 'ca.pem', signer.root)
    write(mesh, 'ca.key', key.pem)
    write(mesh, 'files.yaml', ['type: Files', ...['certificate', 'roots'].map(name => `${name}: ca.pem`), 'key: ca.key'].join('\n'))
    const give = (id: string): Promise<string> => giveBy(signer, id)
    await mesh.startControl()
    put('bundle.pem', signer.root)
    put('a-first.pem', await give('spiffe://weft.local/ns/default/sa/first'))
    put('b-orders.pem', await give('spiffe://weft.local/ns/default/sa/orders'))
    let agent = await serve()
    const flags = ['--capture', 'proxy', '--xds', await xdsOf(mesh), '--spiffe-socket', `unix://${socket}`]
    await using orders = mesh.run('orders', ['/bin/sleep', '100'], { flags, env: { WEFT_LOG: 'info' } })
    await mesh.healthy('orders')
    const issued = (): number => [...orders.stderr.matchAll(/the agent gave another certificate/g)].length
    put('b-orders.pem', await give('spiffe://weft.local/ns/default/sa/orders'))
    agent.child.kill('SIGHUP')
    await mesh.until('the next certificate', () => issued() === 1)
    await agent.stop('SIGKILL')
    await mesh.until('a word', () => /the agent that gives this identity is gone/.test(orders.stderr))
    put('b-orders.pem', await give('spiffe://weft.local/ns/default/sa/orders'))
    agent = await serve()
    await mesh.until('the certificate of the new agent', () => issued() === 2)
    await mesh.healthy('orders')

    const enter = (service: string): Promise<Done> => mesh.job(service, ['/bin/echo', 'in'], { flags })
    assert.match(
      (await enter('payments')).stderr,
      /lets this be .*sa\/first \(a-first\), .*sa\/orders \(b-orders\), not .*sa\/payments: register it there/,
    )
    for (const name of ['a-first.pem', 'b-orders.pem']) rmSync(join(folder, name))
    put('web.pem', await other.give('spiffe://other.example/ns/default/sa/web'))
    put('bundle.pem', other.root)
    agent.child.kill('SIGHUP')
    assert.match(
      (await enter('web')).stderr,
      /is of the trust domain other\.example .*and the mesh is weft\.local: say --trust-domain other\.example/,
    )
    // What an agent gives by a root that it does not tell is not used.
    rmSync(join(folder, 'web.pem'))
    put('web.pem', await ours.give('spiffe://weft.local/ns/default/sa/web'))
    assert.match((await enter('web')).stderr, /gave a certificate that cannot be used: .*not signed by a root/)
    const gone = once(agent.child, 'exit')
    agent.child.kill('SIGKILL')
    await gone
    assert.match(
      (await enter('web')).stderr,
      /the agent at unix:.* gave no certificate within 10 s .*: does it run, and is this workload registered there/,
    )
  })
})
