/** How each server that nobody here wrote is started: Debian's packages, with the configuration they come with wherever the user may use it. */

import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { asUser } from '../../harness/mesh.ts'

/** folder: for this server alone, writable for everybody. isFirst: of the two of its kind; both at once cannot have the machine-wide files. */
export type Setting = { readonly folder: string; readonly isRoot: boolean; readonly isFirst: boolean }
export type Server = {
  readonly name: string
  readonly port: number
  readonly protocol: 'http' | 'tcp'
  readonly needs: readonly string[]
  readonly command: (setting: Setting) => readonly string[]
}

/** The user that runs what refuses to run as root. */
export const nobody = 65534

const config = '/etc/nginx/nginx.conf'

/** Root takes the packaged configuration as it is. An ordinary user cannot write to /run, /var/log and /var/lib, so these move to a folder; port 80 stays. */
function nginx({ folder, isRoot, isFirst }: Setting): readonly string[] {
  const foreground = ['nginx', '-g', 'daemon off;']
  if (isRoot && isFirst && !existsSync('/run/nginx.pid')) return foreground
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/${name};`)
  const text = readFileSync(config, 'utf8')
    .replaceAll('/run/nginx.pid', `${folder}/nginx.pid`)
    .replaceAll('/var/log/nginx', folder)
    .replace(/^http\s*\{/m, `http { ${paths.join(' ')}`)
  writeFileSync(join(folder, 'nginx.conf'), text)
  return [...foreground, '-e', `${folder}/error.log`, '-c', join(folder, 'nginx.conf')]
}

/** Debian's file is only for root and the user redis; others have what is built in. In the foreground, with its files in a folder. */
function redis({ folder, isRoot }: Setting): readonly string[] {
  const packaged = isRoot && existsSync('/etc/redis/redis.conf') ? ['/etc/redis/redis.conf', '--daemonize', 'no', '--logfile', ''] : []
  return ['redis-server', ...packaged, '--dir', folder, '--pidfile', `${folder}/redis.pid`]
}

/** PostgreSQL refuses user id 0, so root starts it as another user, as Debian does. Its socket file moves to a folder; it listens on localhost. */
function postgres({ folder, isRoot }: Setting): readonly string[] {
  return [...asUser(isRoot ? nobody : undefined), 'postgres', '-D', `${folder}/data`, '-k', folder]
}

/** As initdb makes it, owned by that user. */
export function makeCluster(folder: string, uid: number | undefined, path: string): Promise<void> {
  const args = ['initdb', '-D', `${folder}/data`, '-U', 'postgres', '--no-sync', '--no-locale', '-E', 'UTF8']
  return finish([...asUser(uid), ...args], folder, path)
}

export const copyCluster = (from: string, to: string, path: string): Promise<void> =>
  finish(['cp', '-a', `${from}/data`, `${to}/data`], to, path)

/** Rejects with what it says when it fails. */
async function finish([file = '', ...args]: readonly string[], cwd: string, path: string): Promise<void> {
  await promisify(execFile)(file, args, { env: { PATH: path }, cwd })
}

export const servers: readonly Server[] = [
  { name: 'web', port: 80, protocol: 'http', needs: ['nginx', 'curl'], command: nginx },
  {
    name: 'files',
    port: 8000,
    protocol: 'http',
    needs: ['/usr/bin/python3', 'curl'],
    command: ({ folder }) => ['/usr/bin/python3', '-m', 'http.server', '-d', folder],
  },
  { name: 'redis', port: 6379, protocol: 'tcp', needs: ['redis-server', 'redis-cli'], command: redis },
  { name: 'db', port: 5432, protocol: 'tcp', needs: ['initdb', 'postgres', 'psql'], command: postgres },
]
