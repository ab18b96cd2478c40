import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hosts, resolvConf } from './namespace/names.ts'
import { explain, missing } from './namespace/refusal.ts'

const user = { root: false, apparmorRestricts: false }

test('every known message of the kernel and the tools has a reason and a remedy of its own', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['unshare: unshare failed: No space left on device', /no more namespaces/],
    ['unshare: unshare failed: Operation not permitted', /may not make namespaces/],
    ['unshare EPERM', /may not make namespaces/],
    ['unshare: write failed /proc/self/uid_map: Operation not permitted', /map its own id/],
    ['mount: /etc/resolv.conf: mount point does not exist.', /does not exist here/],
    ['/dev/stdin:2:1-5: Error: Could not process rule: Operation not permitted', /capabilities were lost/],
    ['RTNETLINK answers: Operation not permitted', /capabilities were lost/],
    ['Error: Could not process rule: No such file or directory', /lacks nf_tables/],
    ["unshare: unrecognized option '--map-current-user'", /too old/],
    ['unshare: unshare failed: Invalid argument', /built without/],
  ]
  for (const [says, why] of cases) {
    const refusal = explain(says, user)
    assert.match(refusal.why, why, says)
    assert.ok(refusal.why.includes(says) && refusal.remedy.length > 0)
  }
})

test('the restriction of Ubuntu is named where it is on, but not to root', () => {
  const says = 'unshare: write failed /proc/self/uid_map: Operation not permitted'
  assert.match(explain(says, { root: false, apparmorRestricts: true }).why, /AppArmor/)
  assert.doesNotMatch(explain(says, { root: true, apparmorRestricts: true }).why, /AppArmor/)
})

test('an unknown message is shown as it is', () => {
  assert.match(explain('the moon is full', user).why, /the moon is full/)
})

test('missing programs are told with their packages, each once', () => {
  const { why, remedy } = missing(['nft', 'unshare', 'setpriv'])
  assert.match(why, /nft, unshare, setpriv are not installed/)
  assert.match(remedy, /apt-get install nftables util-linux /)
})

test('resolv.conf searches the mesh namespace first, then what the machine searches', () => {
  assert.match(
    resolvConf('shop', 'domain old\nsearch corp.example  cluster.local\n'),
    /^search shop\.svc\.cluster\.local svc\.cluster\.local cluster\.local corp\.example$/m,
  )
  assert.match(resolvConf('shop', ''), /^nameserver 127\.0\.0\.1$/m)
})

test('hosts keeps other machines and drops what means another loopback', () => {
  const written = hosts('me', '127.0.0.1 localhost redis\n127.0.1.1 me\n::1 localhost\n192.0.2.7 db me # ours\n\n0.0.0.0 ads\n')
  assert.deepEqual(written.trim().split('\n'), [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    '192.0.0.2\tme',
    '192.0.2.7\tdb',
  ])
})
