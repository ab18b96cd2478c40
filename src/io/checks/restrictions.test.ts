/** Restrictions told from facts as machines of each kind have them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { containerOf, type Facts, readFacts } from './facts.ts'
import { restrictions } from './restrictions.ts'

const all = 0x1ff_ffff_ffffn
/** The capabilities that Docker gives to root. */
const docker = 0xa804_25fbn

const free: Facts = {
  isRoot: false,
  capabilities: 0n,
  seccomp: 0,
  container: undefined,
  apparmorRestrictsUserns: false,
  unprivilegedUsernsClone: undefined,
  maxUserNamespaces: 127_000,
  maxNetNamespaces: 127_000,
  tools: { nft: true, iptables: true, ip: true, unshare: true },
  hostsBy: ['files', 'dns'],
  nameservers: ['192.0.2.53'],
  isNscdRunning: false,
}

const cases: readonly (readonly [machine: string, facts: Partial<Facts>, says: readonly RegExp[], remedies: readonly RegExp[]])[] = [
  ['Debian as an ordinary user', {}, [], []],
  ['a machine as root', { isRoot: true, capabilities: all }, [], []],
  [
    'Ubuntu 24.04 as an ordinary user',
    { apparmorRestrictsUserns: true },
    [/AppArmor/],
    [/userns,.*apparmor_restrict_unprivileged_userns=0/],
  ],
  ['Ubuntu 24.04 as root', { apparmorRestrictsUserns: true, isRoot: true, capabilities: all }, [], []],
  ['an old Debian', { unprivilegedUsernsClone: false }, [/unprivileged_userns_clone is 0/], [/unprivileged_userns_clone=1/]],
  ['a hardened machine', { maxUserNamespaces: 0 }, [/max_user_namespaces is 0/], [/max_user_namespaces=15000/]],
  ['a machine without network namespaces', { maxNetNamespaces: 0 }, [/max_net_namespaces is 0/], [/max_net_namespaces=15000/]],
  [
    'a container of Docker as root',
    { isRoot: true, capabilities: docker, seccomp: 2, container: 'docker' },
    [/docker.*lacks CAP_SYS_ADMIN and CAP_NET_ADMIN/, /seccomp filter/, /root lacks CAP_NET_ADMIN/],
    [/--cap-add SYS_ADMIN --cap-add NET_ADMIN/, /seccomp=unconfined/, /--cap-add NET_ADMIN/],
  ],
  [
    'a pod as an ordinary user',
    { seccomp: 2, container: 'kubernetes' },
    [/seccomp filter of this container \(kubernetes\)/],
    [/seccompProfile/],
  ],
  ['a privileged container', { isRoot: true, capabilities: all, seccomp: 0, container: 'podman' }, [], []],
  [
    'no packet filter',
    { tools: { ...free.tools, nft: false, iptables: false } },
    [/neither nft nor iptables/],
    [/apt-get install nftables/],
  ],
  ['iptables only', { tools: { ...free.tools, nft: false } }, [/uses iptables/], [/apt-get install nftables/]],
  [
    'Fedora, whose nsswitch asks resolved',
    { hostsBy: ['files', 'myhostname', 'resolve', '[!UNAVAIL=return]', 'dns'], nameservers: ['127.0.0.53'] },
    [/nss-resolve/],
    [/nsswitch\.conf/],
  ],
  ['a machine with nscd', { isNscdRunning: true }, [/nscd/], [/disable --now nscd/]],
]

for (const [machine, facts, says, remedies] of cases)
  test(`${machine}: ${says.length === 0 ? 'nothing stands in the way' : 'what stands in the way is named with its remedy'}`, () => {
    const found = restrictions({ ...free, ...facts })
    assert.equal(found.length, says.length, JSON.stringify(found))
    for (const [at, check] of found.entries()) {
      assert.equal(check.ok, 'warn')
      assert.match(check.says, says[at]!)
      assert.match(check.remedy ?? '', remedies[at]!)
      assert.doesNotMatch(`${check.says}${check.remedy}`, /\.$/m)
    }
  })

test('systemd-resolved that is asked by DNS is no hindrance, and said to be recognised', () => {
  const [found] = restrictions({ ...free, nameservers: ['127.0.0.53'] })
  assert.equal(found?.ok, 'yes')
  assert.match(found?.says ?? '', /recognised/)
})

test('kinds of containers are told by their signs', () => {
  const none = () => false
  assert.equal(containerOf({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }, '', none), 'kubernetes')
  assert.equal(
    containerOf({}, '', path => path === '/.dockerenv'),
    'docker',
  )
  assert.equal(containerOf({}, '0::/machine.slice/libpod-1a.scope\n', none), 'podman')
  assert.equal(containerOf({ container: 'systemd-nspawn' }, '', none), 'systemd-nspawn')
  assert.equal(containerOf({}, '0::/init.scope\n', none), undefined)
})

test('the facts of this machine can be read', () => {
  const facts = readFacts({})
  assert.equal(facts.isRoot, process.getuid?.() === 0)
  assert.ok(Array.isArray(restrictions(facts)))
})
