import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Flags } from './collect.ts'
import { type Joining, readJoining } from './joining.ts'

const read = (raw: Record<string, string>): Joining => {
  const flags = new Flags(raw)
  const joining = readJoining(flags)
  flags.stopIfWrong()
  return joining
}
const wrong = (raw: Record<string, string>, says: RegExp): void =>
  assert.throws(
    () => read(raw),
    (thrown: unknown) => says.test(JSON.stringify(thrown, Object.getOwnPropertyNames(thrown))),
  )

test('an agent needs the address of the control plane, and is of the default trust domain unless said', () => {
  assert.deepEqual(read({ spiffeSocket: 'unix:///a', xds: '[::1]:7071' }), {
    other: { from: { spiffe: 'unix:///a' }, xds: { host: '::1', port: 7071 }, trustDomain: 'weft.local' },
  })
  wrong({ spiffeSocket: 'unix:///a' }, /--xds is missing/)
  wrong({ spiffeSocket: 'unix:///a', xds: 'somewhere' }, /must be HOST:PORT/)
})

test('a certificate of others needs the roots of the control plane too', () => {
  const { other } = read({ certificate: 'a.pem', xds: 'mesh:7071', roots: 'roots.pem', trustDomain: 'example.org' })
  assert.deepEqual(other, {
    from: { certificate: 'a.pem' },
    xds: { host: 'mesh', port: 7071 },
    roots: 'roots.pem',
    trustDomain: 'example.org',
  })
  wrong({ certificate: 'a.pem', xds: 'mesh:7071' }, /--roots is missing/)
})

test('one joins in one way, and what belongs to a way is refused without it', () => {
  assert.deepEqual(read({}), {})
  assert.deepEqual(read({ token: 'a' }), { token: 'a' })
  assert.deepEqual(read({ attestSocket: '/run/a' }), { attestSocket: '/run/a' })
  wrong({ token: 'a', attestSocket: '/run/a' }, /ways to join: give one/)
  wrong({ token: 'a', spiffeIdTemplate: '/{namespace}/{serviceAccount}' }, /go with --certificate or --spiffe-socket/)
  wrong({ spiffeSocket: 'unix:///a', xds: 'a:1', spiffeIdTemplate: '/{namespace}' }, /needs \{serviceAccount\} once/)
  wrong({ token: 'a', trustDomain: 'x' }, /go with --certificate or --spiffe-socket/)
})
