/** Join tokens over a real control plane: how often each brings somebody in, for whom, and what everybody who may not use it reads. */

import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Done, Mesh, weft } from '../harness/mesh.ts'

suite('join tokens', () => {
  let mesh: Mesh
  let machines = 0
  before(async () => {
    mesh = await Mesh.start()
  })
  after(() => mesh[Symbol.asyncDispose]())

  const make = async (...flags: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await mesh.weft('token', 'create', ...flags)
    assert.equal(code, 0, stderr)
    return stdout.trim()
  }
  /** On a machine that knows nothing of the mesh yet. */
  const enter = (service: string, token: string, ...flags: readonly string[]): Promise<Done> => {
    const state = join(mesh.folder, `machine-${machines++}`)
    mkdirSync(state)
    return mesh.job(service, ['/bin/sleep', '1'], {
      flags: ['--capture', 'proxy', '--token', token, ...flags],
      env: { XDG_STATE_HOME: state },
    })
  }

  test('of two workloads that race with a token for one use one joins, and the other reads when and from where it was used', async () => {
    const token = await make('--service-account', 'orders', '--uses', '1')
    const done = await Promise.all([enter('orders', token), enter('orders', token)])
    assert.deepEqual(done.map(({ code }) => code).toSorted(), [0, 1], done.map(({ stderr }) => stderr).join('\n'))
    const refused = done.find(({ code }) => code === 1)!
    assert.match(
      refused.stderr,
      /join token was used already \(at .*from 127\.0\.0\.1:\d+\), and it is good for one use; .*weft token create/,
    )
    const [kept] = await mesh.client.tokens()
    assert.deepEqual([kept?.state, kept?.used, kept?.uses, kept?.identity], ['used', 1, 1, 'spiffe://weft.local/ns/default/sa/orders'])
    const { items } = await mesh.client.audit({ kind: 'JoinToken', name: 'orders' })
    assert.deepEqual(
      items.map(({ action, who }) => [action, who]),
      [
        ['used', 'spiffe://weft.local/ns/default/sa/orders'],
        ['created', items[1]!.who],
      ],
    )
  })

  test('there is no token by which somebody would be the control plane', async () => {
    const { code, stderr } = await mesh.weft('token', 'create', '-n', 'weft-system', '--service-account', 'control')
    assert.equal(code, 1)
    assert.match(stderr, /is the control plane itself/)
  })

  test('revoked, expired, altered and foreign tokens are each refused in their own words', async () => {
    const revoked = await make('--service-account', 'web')
    const told = await mesh.weft('token', 'revoke', revoked)
    assert.match(told.stdout, /for spiffe:\/\/weft\.local\/ns\/default\/sa\/web is revoked; nobody used it/)
    assert.match((await enter('web', revoked)).stderr, /the join token was revoked at 20/)

    const short = await make('--service-account', 'web', '--ttl', '1s')
    await pause(2100)
    assert.match((await enter('web', short)).stderr, /the join token expired at 20.*weft token create/)

    // Of another service, signed by nobody.
    const [head, claims, signature] = (await make('--service-account', 'web')).split('.') as [string, string, string]
    const changed = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { sub: string }
    const forged = [
      head,
      Buffer.from(JSON.stringify({ ...changed, sub: changed.sub.replace('web', 'bank') })).toString('base64url'),
      signature,
    ]
    assert.match((await enter('bank', forged.join('.'))).stderr, /the join token is not signed by this control plane/)

    await using other = await Mesh.start()
    const { stdout: foreign } = await other.weft('token', 'create', '--service-account', 'web')
    // It leads to the other mesh; made to lead here, it is not believed.
    const [, theirs, sign] = foreign.trim().split('.') as [string, string, string]
    const lured = {
      ...JSON.parse(Buffer.from(theirs, 'base64url').toString()),
      xds: changed && (JSON.parse(Buffer.from(claims, 'base64url').toString()) as { xds: string }).xds,
    }
    const led = [head, Buffer.from(JSON.stringify(lured)).toString('base64url'), sign].join('.')
    assert.match((await enter('web', led)).stderr, /does not belong to the root certificate that the join token names/)

    assert.match((await enter('web', 'a.b')).stderr, /the join token is malformed/)
    const listed = await mesh.weft('token', 'list', '--all')
    assert.match(listed.stdout, /revoked/)
    assert.match(listed.stdout, /expired/)
    assert.doesNotMatch(listed.stdout, /eyJ/)
  })

  test('who joined by a token for some labels is in the mesh with these only, also with the certificate that it got', async () => {
    const token = await make('--service-account', 'cart', '-l', 'version=v2')
    const machine = { env: { XDG_STATE_HOME: join(mesh.folder, 'machine-wrong') } }
    const asV1 = ['--token', token, '--app-version', 'v1']
    // Refused by the certificate of the token, and then by the kept one.
    for (const say of ['a first', 'a second']) {
      const wrong = await mesh.job('cart', ['/bin/echo', 'started'], { flags: ['--capture', 'proxy', ...asV1], ...machine })
      assert.deepEqual([wrong.code, wrong.stdout], [1, ''], `${say} time: ${wrong.stderr}`)
      assert.match(
        wrong.stderr,
        /does not let this workload in: its join token is for workloads with the labels version=v2, and this one has app=cart, version=v1/,
      )
    }
    // Where it is captured the command starts at once, and is ended with it; a short one does not hide the reason.
    for (const command of [
      ['/bin/echo', 'started'],
      ['/bin/sleep', '60'],
    ]) {
      const wrong = await mesh.job('cart', command, { flags: asV1, ...machine })
      assert.equal(wrong.code, 1, wrong.stderr)
      assert.match(wrong.stderr, /its join token is for workloads with the labels version=v2/)
    }
    assert.deepEqual(await mesh.healthOf('cart'), [])
    await using right = mesh.run('cart', ['/bin/sleep', '60'], {
      flags: ['--capture', 'proxy', '--token', token, '--app-version', 'v2'],
      ...machine,
    })
    await mesh.until('the workload', async () => (await mesh.healthOf('cart')).length === 1)
    assert.doesNotMatch(right.stderr, /its join token is for/)
    // Another token, for any labels, takes the place of the certificate that is bound to some.
    const other = await mesh.job('cart', ['/bin/echo', 'started'], {
      flags: ['--capture', 'proxy', '--token', await make('--service-account', 'cart'), '--app-version', 'v1'],
      ...machine,
    })
    assert.deepEqual([other.code, other.stdout], [0, 'started\n'], other.stderr)
  })

  test('a Gateway and an Envoy that may not come in by their token end with 1 and say why and what to do', async () => {
    // Envoy is not even started: that it cannot be is not what is said.
    const lines = { 'front-weft': ['gateway', '--name', 'front'], cart: ['envoy', '--name', 'cart', '--envoy', '/no/such/envoy'] }
    for (const [account, line] of Object.entries(lines)) {
      const states = Array.from({ length: 2 }, () => join(mesh.folder, `machine-${machines++}`))
      const enterBy = async (token: string, state = states[0]!): Promise<string> => {
        mkdirSync(state, { recursive: true })
        const env = { WEFT_CONTROL: mesh.url, XDG_STATE_HOME: state }
        const { code, stderr } = await mesh.spawn([...weft, ...line, '--token', token], { env }).exited
        assert.equal(code, 1, stderr)
        assert.doesNotMatch(stderr, /Envoy does not start/)
        return stderr
      }
      const bound = await make('--service-account', account, '-l', 'version=v2', '--uses', '1')
      const unbound =
        /^weft: the control plane does not let this (workload|Gateway) in: its join token is for workloads with the labels version=v2, .*start it with these labels/m
      assert.match(await enterBy(bound), unbound)
      assert.match(await enterBy(bound), unbound, 'nor by the certificate that it got')
      assert.match(await enterBy(bound, states[1]), /^weft: .*join token was used already \(at .*weft token create/m)
      const other = await make('--service-account', 'other')
      assert.match(await enterBy(other), /^weft: the token is for \S+\/sa\/other, not for the service "\S+".*weft token create/m)
      const revoked = await make('--service-account', account)
      await mesh.weft('token', 'revoke', revoked)
      assert.match(await enterBy(revoked, states[1]), /^weft: .*the join token was revoked at 20/m)
    }
  })

  test('whose certificate is kept hears that the token was not needed; what is no token is an error all the same', async () => {
    const machine = { env: { XDG_STATE_HOME: join(mesh.folder, 'machine-kept') } }
    const start = (...flags: readonly string[]): Promise<Done> =>
      mesh.job('kept', ['/bin/echo', 'started'], { flags: ['--capture', 'proxy', ...flags], ...machine })
    const token = await make('--service-account', 'kept', '--uses', '1')
    const first = await start('--token', token)
    assert.equal(first.code, 0, first.stderr)
    assert.doesNotMatch(first.stderr, /not needed/)
    const again = await start('--token', token)
    assert.deepEqual([again.code, again.stdout], [0, 'started\n'], again.stderr)
    assert.match(
      again.stderr,
      /^weft: the certificate from last time is used \(good until 20.*\): the join token was not needed, and not tried$/m,
    )
    for (const garbled of [token.slice(0, -5), `x${token}`, token.replace(/[^.]*$/, 'c2lnbmVk')]) {
      const { code, stdout, stderr } = await start('--token', garbled)
      assert.deepEqual([code, stdout], [1, ''], stderr)
      assert.match(stderr, /the join token is malformed/)
    }
  })

  test('a workload that may ask for a token asks for none while the certificate from last time is good', async () => {
    const made = async (): Promise<number> => (await mesh.client.tokens()).filter(({ identity }) => identity.endsWith('/sa/again')).length
    const start = async (): Promise<void> => {
      const { code, stderr } = await mesh.job('again', ['/bin/true'], { flags: ['--capture', 'proxy'] })
      assert.deepEqual([code, stderr], [0, ''])
    }
    await start()
    assert.equal(await made(), 1)
    await start()
    assert.equal(await made(), 1)
  })

  test('a socket that is not there is said not to be there', async () => {
    const socket = join(mesh.folder, 'no-such.sock')
    const flags = ['--capture', 'proxy', '--attest-socket', socket]
    const none = await mesh.job('nobody', ['/bin/echo', 'started'], { flags })
    assert.deepEqual([none.code, none.stdout], [1, ''], none.stderr)
    assert.match(none.stderr, /no such socket: .*no-such\.sock/)
  })
})
