/** Unmodified SPIFFE clients at the socket of a control plane get the identities of the Registrations that fit their processes, and nobody else gets any; `weft run` joins by it. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync, realpathSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { goProgram, python } from '../conformance/peers.ts'
import { startServer } from '../harness/load.ts'
import { type Done, Mesh, root, type Running } from '../harness/mesh.ts'

const found = goProgram('workload-api', join(root, 'test/e2e/workload-api/go'))
const program = 'path' in found ? realpathSync(found.path) : ''
const skip = process.platform !== 'linux' ? 'there is no SO_PEERCRED here' : 'missing' in found ? found.missing : false
const uid = process.getuid?.() ?? 0
const registrations = { group: 'weft.dev', version: 'v1alpha1', plural: 'registrations', namespaced: true } as const
const revocations = { group: 'weft.dev', version: 'v1alpha1', plural: 'revocations', namespaced: false } as const

suite('attestation of processes', { skip }, () => {
  let mesh: Mesh
  let socket = ''
  let client = ''
  before(async () => {
    mesh = new Mesh({ control: ['--leaf-life', '5s', '--attest-socket', 'attest.sock'] })
    await mesh.startControl()
    socket = join(mesh.folder, 'attest.sock')
    client = join(mesh.folder, 'client')
    copyFileSync(program, client)
    await register('web', { path: client, uid })
    await register('bank', {
      sha256: createHash('sha256').update(readFileSync(program)).digest('hex'),
      uid,
      path: join(mesh.folder, 'bank'),
    })
  })
  after(() => mesh[Symbol.asyncDispose]())

  const register = async (name: string, proof: object, account = name): Promise<void> => {
    const metadata = { name, namespace: 'default' }
    await mesh.client.apply(registrations, {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'Registration',
      metadata,
      spec: { serviceAccount: account, process: proof },
    })
  }
  const start = (...command: readonly string[]): Running =>
    mesh.spawn(['timeout', '20', ...command], { env: { SPIFFE_ENDPOINT_SOCKET: `unix://${socket}` } })
  const ask = (...command: readonly string[]): Promise<Done> => start(...command).exited
  const idOf = (account: string): string => `spiffe://weft.local/ns/default/sa/${account}`

  test('go-spiffe gets the identity of its program, and the next certificates of it', async () => {
    const { code, stdout } = await ask(client, '3')
    assert.equal(code, 0, stdout)
    const lines = stdout.trim().split('\n')
    for (const line of lines) assert.match(line, /^spiffe:\/\/weft\.local\/ns\/default\/sa\/web [0-9a-f]+ 2 1$/)
    assert.equal(new Set(lines).size, 3)
  })

  test('a process that fits several Registrations gets all, told apart by their names, and chooses for tokens', async () => {
    await register('web-as-shop', { uid, path: client }, 'shop')
    assert.equal((await ask(client, 'all')).stdout, `${idOf('web')} web\n${idOf('shop')} web-as-shop\n`)
    assert.equal((await ask(client, 'jwt', 'somewhere')).stdout.trim().split('\n').length, 2)
    assert.equal((await ask(client, 'jwt', 'somewhere', idOf('shop'))).stdout.trim().split('\n').length, 1)
    assert.match(
      (await ask(client, 'jwt', 'somewhere', idOf('bank'))).stdout,
      /PermissionDenied.*the caller is .*sa\/web or .*sa\/shop, and not/,
    )
    await mesh.client.delete(registrations, 'web-as-shop')
    assert.equal((await ask(client, 'all')).stdout, `${idOf('web')} web\n`)
  })

  test('an identity that is revoked takes the others of the process with it neither as certificates nor as tokens, and alone it is refused', async () => {
    await register('web-as-thief', { uid, path: client }, 'thief')
    const revocation = { apiVersion: 'weft.dev/v1alpha1', kind: 'Revocation', metadata: { name: 'thief' } }
    await mesh.client.apply(revocations, { ...revocation, spec: { identities: [idOf('thief')] } })
    await mesh.until('the revocation', async () => (await ask(client, 'jwt', 'somewhere', idOf('thief'))).code !== 0)
    assert.equal((await ask(client, 'all')).stdout, `${idOf('web')} web\n`)
    assert.equal((await ask(client, 'jwt', 'somewhere')).stdout.trim().split('\n').length, 1)
    assert.match((await ask(client, 'jwt', 'somewhere', idOf('thief'))).stdout, /PermissionDenied.*thief/)
    await mesh.client.delete(revocations, 'thief')
    await mesh.client.delete(registrations, 'web-as-thief')
  })

  test('another user, another program, a link of the right name, the right name with other content: nobody is anybody', async () => {
    const denied = ({ stdout, stderr }: Done, says: RegExp): void => {
      assert.match(stdout + stderr, says)
      assert.doesNotMatch(stdout, /^spiffe:/m)
    }
    denied(await ask(program, 'all'), /PermissionDenied.*no Registration fits process \d+ \(.*path /)
    const link = join(mesh.folder, 'link')
    symlinkSync(program, link)
    await register('linked', { path: link })
    denied(await ask(link, 'all'), /PermissionDenied/)
    // The bank's path, and not its content.
    copyFileSync(client, join(mesh.folder, 'bank'))
    execFileSync('/bin/sh', ['-c', `printf x >> ${join(mesh.folder, 'bank')}`])
    denied(await ask(join(mesh.folder, 'bank'), 'all'), /PermissionDenied/)
    copyFileSync(client, join(mesh.folder, 'bank-new'))
    renameSync(join(mesh.folder, 'bank-new'), join(mesh.folder, 'bank'))
    assert.equal((await ask(join(mesh.folder, 'bank'), 'all')).stdout, `${idOf('bank')} bank\n`)
    if (uid === 0)
      denied(await ask('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', client, 'all'), /PermissionDenied.*uid 65534/)
  })

  test('a program that is replaced gets no next certificate, and who is not registered any more is told so at once', async () => {
    const replaced = join(mesh.folder, 'replaced')
    copyFileSync(client, replaced)
    await register('replaced', { path: replaced })
    await using running = start(replaced, '99')
    await mesh.until('a certificate', () => running.stdout.includes('sa/replaced'))
    copyFileSync('/bin/true', `${replaced}-new`)
    renameSync(`${replaced}-new`, replaced)
    await mesh.until('a refusal', () =>
      /PermissionDenied.*was replaced or removed since the process started/.test(running.stdout + running.stderr),
    )

    await register('short', { path: client }, 'short')
    await using other = start(client, '99')
    await mesh.until('a certificate', () => other.stdout.includes('sa/short'))
    await mesh.client.delete(registrations, 'short')
    await mesh.client.delete(registrations, 'web')
    await mesh.until('a refusal', () => /no Registration fits/.test(other.stdout + other.stderr))
    await register('web', { path: client, uid })
  })

  test('weft run joins by it without a token, as what it is registered for and as nothing else', async () => {
    const node = realpathSync(process.execPath)
    await register('runner', { path: node, uid }, 'orders')
    const joined = await mesh.job('orders', ['/bin/echo', 'in the mesh'], { flags: ['--capture', 'proxy', '--attest-socket', socket] })
    assert.equal(joined.stdout, 'in the mesh\n', joined.stderr)
    const refused = await mesh.job('payments', ['/bin/echo', 'in'], { flags: ['--capture', 'proxy', '--attest-socket', socket] })
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /let it be .*sa\/orders, not the service "payments"/)
    const { items } = await mesh.client.audit({ kind: 'JoinToken', name: 'orders' })
    assert.deepEqual(
      items.map(({ action, who }) => [action, who]),
      [['used', idOf('orders')]],
    )
  })

  test('tokens of go-spiffe are verified by go-spiffe and by the server, for their audience only, and by a JWTPolicy in front of a service', async () => {
    const token = (await ask(client, 'jwt', 'server')).stdout.trim()
    for (const how of ['check', 'ask']) {
      assert.equal((await ask(client, how, 'server', token)).stdout, `${idOf('web')}\n`)
      assert.match((await ask(client, how, 'other', token)).stdout, /ERROR/)
      assert.match((await ask(client, how, 'server', `${token.slice(0, -6)}AAAAAA`)).stdout, /ERROR/)
    }
    const { keys } = (await (await fetch(`${mesh.url}/weft/v1/jwks`)).json()) as { keys: readonly { kid: string; d?: string }[] }
    assert.deepEqual(
      (await ask(client, 'keys')).stdout.trim().split('\n'),
      keys.map(({ kid }) => `weft.local ${kid}`),
    )
    assert.ok(keys.every(({ d }) => d === undefined))

    startServer(mesh, 'server', { instance: 'one' })
    await mesh.healthy('server')
    const policy = {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'JWTPolicy',
      metadata: { name: 'by-svid' },
      spec: {
        targetRefs: [{ kind: 'Service', name: 'server' }],
        providers: [{ name: 'mesh', issuer: 'spiffe://weft.local', audiences: ['server'], jwks: { inline: JSON.stringify({ keys }) } }],
      },
    }
    writeFileSync(join(mesh.folder, 'policy.yaml'), JSON.stringify(policy))
    const applied = await mesh.weft('apply', '-f', join(mesh.folder, 'policy.yaml'))
    assert.equal(applied.code, 0, applied.stderr)
    await using shell = mesh.shell('caller', { flags: ['--capture', 'proxy'] })
    const status = async (bearer: string): Promise<string> =>
      shell.says(`curl -sS -o /dev/null -w '%{http_code}' -H 'authorization: Bearer ${bearer}' http://server:8080/`)
    await mesh
      .until('the policy', async () => (await status('x')) === '401', 20_000)
      .catch(async (thrown: Error) => {
        throw new Error(
          `${await status('x')} ${JSON.stringify((await mesh.weft('get', 'jwtpolicy', 'by-svid', '-o', 'json')).stdout)} ${thrown.message.slice(0, 500)}`,
        )
      })
    // A token that the caller's own proxy gets for it, too.
    const own = await shell.says(`${program} jwt server`)
    assert.equal(await status(own.trim()), '200')
    assert.equal(await shell.says(`${program} ask server ${own.trim()}`), `${idOf('caller')}\n`)
    assert.equal(await status((await ask(client, 'jwt', 'server')).stdout.trim()), '200')
    assert.equal(await status((await ask(client, 'jwt', 'elsewhere')).stdout.trim()), '401')
  })

  const spiffe = python('spiffe', 'spiffe==0.3.0')
  test('the SPIFFE client of Python gets certificates and tokens, here and in a workload', {
    skip: 'missing' in spiffe ? spiffe.missing : false,
  }, async () => {
    const python3 = 'path' in spiffe ? spiffe.path : ''
    await register('python', { path: realpathSync(python3), uid })
    const script = join(mesh.folder, 'svids.py')
    writeFileSync(
      script,
      [
        'from spiffe import WorkloadApiClient',
        'with WorkloadApiClient() as client:',
        '    print(client.fetch_x509_svid().spiffe_id)',
        "    token = client.fetch_jwt_svid(audience={'bank'})",
        '    print(token.spiffe_id, sorted(token.audience))',
        "    print(client.validate_jwt_svid(token.token, 'bank').spiffe_id)",
        '    print(len(client.fetch_jwt_bundles().bundles), len(client.fetch_x509_bundles().bundles))',
      ].join('\n'),
    )
    const expected = (account: string): string => `${idOf(account)}\n${idOf(account)} ['bank']\n${idOf(account)}\n1 1\n`
    const here = await ask(python3, script)
    assert.equal(here.stdout, expected('python'), here.stderr)
    const meshed = await mesh.job('snake', [python3, script], { flags: ['--capture', 'proxy'] })
    assert.equal(meshed.stdout, expected('snake'), meshed.stderr)
  })
})
