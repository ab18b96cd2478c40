/** Reads the facts from which restrictions of this machine are told. */

import { existsSync, readFileSync } from 'node:fs'
import process from 'node:process'
import { findTool } from '../namespace/tools.ts'

/** As read; undefined where the machine does not say. */
export type Facts = {
  readonly isRoot: boolean
  /** /proc/self/status: CapEff as a number. */
  readonly capabilities: bigint
  /** /proc/self/status: Seccomp; 2 is a filter. */
  readonly seccomp: number | undefined
  /** The name of the container's kind: docker, podman, kubernetes, lxc…; undefined outside one. */
  readonly container: string | undefined
  readonly apparmorRestrictsUserns: boolean
  /** kernel.unprivileged_userns_clone, of Debian's kernels. */
  readonly unprivilegedUsernsClone: boolean | undefined
  readonly maxUserNamespaces: number | undefined
  readonly maxNetNamespaces: number | undefined
  readonly tools: { readonly nft: boolean; readonly iptables: boolean; readonly ip: boolean; readonly unshare: boolean }
  /** The `hosts` line of /etc/nsswitch.conf, in words. */
  readonly hostsBy: readonly string[]
  readonly nameservers: readonly string[]
  readonly isNscdRunning: boolean
}

export function readFacts(env: Readonly<Record<string, string | undefined>> = process.env): Facts {
  const status = text('/proc/self/status')
  const nsswitch = /^hosts:(.*)$/m.exec(text('/etc/nsswitch.conf'))?.[1] ?? ''
  return {
    isRoot: process.getuid?.() === 0,
    capabilities: BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`),
    seccomp: number(/^Seccomp:\s*(\d+)/m.exec(status)?.[1]),
    container: containerOf(env, text('/proc/1/cgroup'), existsSync),
    apparmorRestrictsUserns: text('/proc/sys/kernel/apparmor_restrict_unprivileged_userns').trim() === '1',
    unprivilegedUsernsClone: yes(text('/proc/sys/kernel/unprivileged_userns_clone')),
    maxUserNamespaces: number(text('/proc/sys/user/max_user_namespaces')),
    maxNetNamespaces: number(text('/proc/sys/user/max_net_namespaces')),
    tools: {
      nft: findTool('nft') !== undefined,
      iptables: findTool('iptables') !== undefined,
      ip: findTool('ip') !== undefined,
      unshare: findTool('unshare') !== undefined,
    },
    hostsBy: nsswitch.trim().split(/\s+/),
    nameservers: [...text('/etc/resolv.conf').matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, server]) => server!),
    isNscdRunning: existsSync('/run/nscd/socket') || existsSync('/var/run/nscd/socket'),
  }
}

/** Each kind leaves its own sign: a variable, a file, or the name of the first process's cgroup. */
export function containerOf(
  env: Readonly<Record<string, string | undefined>>,
  firstCgroup: string,
  exists: (path: string) => boolean,
): string | undefined {
  if (env['KUBERNETES_SERVICE_HOST'] !== undefined || /kubepods/.test(firstCgroup)) return 'kubernetes'
  if (exists('/.dockerenv') || /docker/.test(firstCgroup)) return 'docker'
  if (exists('/run/.containerenv') || /libpod/.test(firstCgroup)) return 'podman'
  if (/\blxc\b/.test(firstCgroup) || env['container'] === 'lxc') return 'lxc'
  return env['container'] // container_interface of systemd
}

const number = (value: string | undefined): number | undefined =>
  value === undefined || !/^\d+$/.test(value.trim()) ? undefined : Number(value.trim())
const yes = (value: string): boolean | undefined => (value === '' ? undefined : value.trim() === '1')

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
