/** Why a namespace cannot be had, said so that a person can mend it: messages of the kernel and of the tools, turned into a reason and a remedy. */

export type Refusal = { readonly ok: false; readonly why: string; readonly remedy: string }
export type Verdict = { readonly ok: true } | Refusal

/** Thrown when a workload cannot be captured. Nothing was started. */
export class CaptureRefused extends Error {
  readonly why: string
  readonly remedy: string
  constructor({ why, remedy }: Refusal) {
    super(`${why}: ${remedy}`)
    this.name = 'CaptureRefused'
    this.why = why
    this.remedy = remedy
  }
}

/** The Debian package of every tool that is used. */
export const packages = { ip: 'iproute2', nft: 'nftables', setpriv: 'util-linux', unshare: 'util-linux', mount: 'mount' } as const
export type Tool = keyof typeof packages

export function missing(tools: readonly Tool[]): Refusal {
  const names = [...new Set(tools.map(tool => packages[tool]))]
  return {
    ok: false,
    why: `${tools.length === 1 ? 'the program' : 'the programs'} ${tools.join(', ')} ${tools.length === 1 ? 'is' : 'are'} not installed`,
    remedy: `install ${tools.length === 1 ? 'it' : 'them'}: apt-get install ${names.join(' ')} (or the packages of these names of your distribution)`,
  }
}

/** What the machine says of itself, where a message alone does not tell causes apart. */
export type Machine = { readonly root: boolean; readonly apparmorRestricts: boolean }

type Entry = { readonly pattern: RegExp; readonly why: string; readonly remedy: string; readonly when?: (machine: Machine) => boolean }

/** In order: the first that fits is told. */
const table: readonly Entry[] = [
  {
    pattern: /User does not exist/,
    why: 'a user that is to be left out of the mesh is not known on this machine',
    remedy: 'give names of /etc/passwd, or numbers (--exclude-outbound-uids, --uid)',
  },
  {
    pattern: /Permission denied|Operation not permitted|EPERM|EACCES/,
    when: machine => machine.apparmorRestricts && !machine.root,
    why: 'AppArmor keeps ordinary users from making user namespaces (kernel.apparmor_restrict_unprivileged_userns=1, the default of Ubuntu 24.04)',
    remedy:
      'allow it for unshare and node with an AppArmor profile that says `userns,`, or for all: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
  },
  {
    pattern: /unshare.*(No space left on device|ENOSPC)/,
    why: 'this machine allows no more namespaces (user.max_user_namespaces, max_net_namespaces or max_mnt_namespaces is 0 or used up)',
    remedy: 'raise them: sudo sysctl -w user.max_user_namespaces=15000 user.max_net_namespaces=15000 user.max_mnt_namespaces=15000',
  },
  {
    pattern: /unshare.*(Invalid argument|EINVAL)/,
    why: 'this kernel was built without the namespaces that are needed, or the process lives in a chroot',
    remedy: 'a kernel with CONFIG_USER_NS and CONFIG_NET_NS is needed',
  },
  {
    pattern: /uid_map|gid_map/,
    why: 'the kernel lets this user make a user namespace but not map its own id into it',
    remedy: 'run weft as root, or outside this container or sandbox',
  },
  {
    pattern: /unshare.*(Operation not permitted|EPERM)|mount.*private/,
    why: 'this process may not make namespaces: a container, chroot or sandbox forbids it, or kernel.unprivileged_userns_clone is 0',
    remedy:
      'on the machine itself: sudo sysctl -w kernel.unprivileged_userns_clone=1; in a container: start it with CAP_SYS_ADMIN and CAP_NET_ADMIN and a seccomp profile that allows unshare',
  },
  {
    pattern: /unrecognized option|invalid option/,
    why: 'the unshare or setpriv of this machine is too old',
    remedy: 'util-linux 2.34 or newer is needed (Debian 11, Ubuntu 20.04 and later have it)',
  },
  {
    pattern: /mount point does not exist|mount.*(ENOENT|special device)/,
    why: 'a file that must be covered for the workload (/etc/resolv.conf or /etc/hosts) does not exist here',
    remedy: 'create it, even empty: sudo touch /etc/resolv.conf /etc/hosts',
  },
  {
    pattern:
      /Could not process rule: (Operation not permitted|Permission denied)|netlink: Error: cache initialization failed: Operation not permitted|RTNETLINK answers: Operation not permitted/,
    why: 'the network of the new namespace may not be changed: the capabilities were lost on the way into it',
    remedy: 'is `unshare` or `node` replaced by a wrapper here? They must keep ambient capabilities (unshare --keep-caps)',
  },
  {
    pattern:
      /Could not process rule: (No such file or directory|Operation not supported|Not supported)|Protocol not supported|Unable to initialize Netlink/,
    why: 'this kernel lacks nf_tables or its nat and redirect parts',
    remedy: 'load them as root: modprobe -a nf_tables nft_chain_nat nft_redir nft_ct (a kernel without them cannot capture)',
  },
  {
    pattern: /mount/,
    why: 'files may not be covered in the new namespace',
    remedy: 'run weft as root, or outside this container or sandbox',
  },
]

/** says: what a tool wrote, or the text of a SystemCallFailed. */
export function explain(says: string, machine: Machine): Refusal {
  const entry = table.find(({ pattern, when }) => pattern.test(says) && (when?.(machine) ?? true))
  const told = says.trim().split('\n').slice(0, 3).join('; ')
  if (!entry)
    return { ok: false, why: `a network namespace could not be set up (${told})`, remedy: 'weft check shows what this machine lacks' }
  return { ok: false, why: `${entry.why} (${told})`, remedy: entry.remedy }
}
