// Asks the registry whether anything that a release needs is known to be vulnerable, and whether its signatures hold. Ends with 0: no; 1: yes, with what; 3: the registry does not say.
import { spawnSync } from 'node:child_process'
import { dirname, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const patience = ['--fetch-retries=0', '--fetch-timeout=20000']

/** What `npm audit --json` means: `{ ok }`, `{ bad: sentences }` or `{ skipped: reason }`: skipped only where the registry, or the way to it, is why. */
export function judgeAudit(text) {
  const told = parse(text)
  if (told?.metadata?.vulnerabilities === undefined) return unanswered(told, text)
  const { prod } = told.metadata.dependencies ?? {}
  if (!(prod > 0)) return { bad: ['npm audit looked at no package'] }
  const found = Object.values(told.vulnerabilities ?? {}).map(({ name, severity, via }) => ({
    isBad: severity === 'high' || severity === 'critical',
    says: `${name}: ${severity}: ${via.map(each => (typeof each === 'string' ? `by ${each}` : `${each.title} ${each.url}`)).join('; ')}`,
  }))
  const bad = found.filter(({ isBad }) => isBad)
  if (bad.length > 0) return { bad: bad.map(({ says }) => says) }
  return { ok: [`${prod} packages`, ...found.map(({ says }) => says)].join('; ') }
}

/** The same of `npm audit signatures --json`. A package without a signature is none of today's registry, which signs all. */
export function judgeSignatures(text) {
  const told = parse(text)
  if (!Array.isArray(told?.invalid)) return unanswered(told, text)
  const name = each => `${each.name}@${each.version}`
  const bad = [
    ...told.invalid.map(each => `${name(each)}: its signature does not hold`),
    ...(told.missing ?? []).map(each => `${name(each)}: it is not signed`),
  ]
  return bad.length > 0 ? { bad } : { ok: 'every signature holds' }
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** As Node and npm call what becomes of a request on its way. */
const onTheWay =
  /\b(E?AI_AGAIN|ENOTFOUND|ECONN\w+|E?HOSTUNREACH|ENETUNREACH|E?SOCKET\w*|\w*TIMEDOUT|EPIPE|ERR_SOCKET\w*)\b|network|timed? ?out|socket hang up/i

/** No answer: of the registry that is no fault of ours, of anything else it is. */
function unanswered(told, text) {
  const reason =
    told?.message ?? told?.error?.summary ?? (/npm error (?!A complete|code )(.+)/.exec(text)?.[1] || 'it gave no answer that can be read')
  const isRefused = told?.statusCode >= 400 || /\b[45]\d\d [A-Z]\w+/.test(reason)
  return isRefused || onTheWay.test(`${reason} ${told?.error?.code ?? ''}`)
    ? { skipped: reason }
    : { bad: [`npm could not ask: ${reason}`] }
}

function ask(args) {
  const { stdout, stderr, error } = spawnSync('npm', [...args, '--json', ...patience], {
    cwd: root,
    encoding: 'utf8',
    timeout: 90_000,
    maxBuffer: 1 << 26,
  })
  return error === undefined ? (stdout.trim() === '' || stdout.trim() === '{}' ? stderr : stdout) : `npm error ${error.message}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const outcomes = [
    ['vulnerabilities', judgeAudit(ask(['audit', '--omit=dev', '--audit-level=high']))],
    ['signatures', judgeSignatures(ask(['audit', 'signatures', '--omit=dev']))],
  ]
  for (const [what, { ok, bad, skipped }] of outcomes) console.log(`${what}: ${ok ?? (bad ? bad.join('\n  ') : `not asked: ${skipped}`)}`)
  process.exit(outcomes.some(([, { bad }]) => bad) ? 1 : outcomes.some(([, { skipped }]) => skipped) ? 3 : 0)
}
