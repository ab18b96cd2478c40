/** One request to the operator API and the two ways in which it fails: refused, with a Status, or not answered at all. */

export type Cause = { readonly reason?: string; readonly message: string; readonly field?: string }

/** The server refused. message: of its Status, for people. code: HTTP status. reason: `NotFound`, `Conflict`, `Invalid`, `Expired` … */
export class ApiError extends Error {
  readonly code: number
  readonly reason: string
  readonly causes: readonly Cause[]
  constructor(code: number, reason: string, message: string, causes: readonly Cause[] = []) {
    super(message)
    this.name = 'ApiError'
    this.code = code
    this.reason = reason
    this.causes = causes
  }
}

/** No control plane answered at the URL. */
export class Unreachable extends Error {
  readonly url: string
  constructor(url: string, why: string) {
    super(`cannot reach the control plane at ${url || 'this address'} (${why}): is \`weft control\` running?`)
    this.name = 'Unreachable'
    this.url = url
  }
}

export type Asking = {
  readonly method?: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly body?: unknown
  readonly type?: string
  readonly accept?: string
  readonly signal?: AbortSignal | undefined
}

export type Requester = {
  json<T>(path: string, asking?: Asking): Promise<T>
  /** undefined for 404. */
  maybe<T>(path: string): Promise<T | undefined>
  /** The body as it arrives. */
  stream(path: string, asking: Asking): Promise<ReadableStream<Uint8Array>>
}

export function requester(base: string, timeoutMs: number, send: typeof fetch, token?: string): Requester {
  async function ask(
    path: string,
    { method = 'GET', query = {}, body, type = 'application/json', accept = 'application/json', signal }: Asking,
  ): Promise<Response> {
    const asked = new URLSearchParams(Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)).toString()
    // A browser sends its own instead.
    const headers = {
      accept,
      'user-agent': 'weft',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': type }),
    }
    const init: RequestInit = {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    }
    for (let left = mostRetries; ; left--) {
      const reply = await send(`${base}${path}${asked === '' ? '' : `?${asked}`}`, init).catch((thrown: unknown) => {
        throw isAbort(thrown) ? thrown : new Unreachable(base, reasonOf(thrown))
      })
      if (reply.ok) return reply
      const waitMs = reply.status === 429 && left > 0 ? 1000 * Number(reply.headers.get('retry-after') ?? Number.NaN) : Number.NaN
      if (!(waitMs >= 0 && waitMs <= longestWaitMs)) throw await refusalIn(reply)
      await reply.body?.cancel()
      await waited(waitMs, signal)
    }
  }

  async function json<T>(path: string, asking: Asking = {}): Promise<T> {
    const limit = AbortSignal.timeout(timeoutMs)
    try {
      const reply = await ask(path, { ...asking, signal: limit })
      return (await reply.json()) as T
    } catch (thrown) {
      if (limit.aborted) throw new Unreachable(base, `no answer within ${timeoutMs / 1000} s`)
      // The connection broke inside the body, or something else than a control plane listens there.
      if (thrown instanceof TypeError || thrown instanceof SyntaxError)
        throw new Unreachable(base, `what came is not its answer: ${thrown.message}`)
      throw thrown
    }
  }

  return {
    json,
    async maybe<T>(path: string) {
      try {
        return await json<T>(path)
      } catch (thrown) {
        if (thrown instanceof ApiError && thrown.code === 404) return undefined
        throw thrown
      }
    },
    async stream(path, asking) {
      const { body } = await ask(path, asking)
      return body ?? new ReadableStream<Uint8Array>({ start: controller => controller.close() })
    },
  }
}

/** Of what was too much, and is told when to come again. */
const mostRetries = 5
const longestWaitMs = 5000

const waited = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((done, failed) => {
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', () => (clearTimeout(timer), failed(signal.reason as Error)), { once: true })
  })

type StatusBody = {
  readonly code?: number
  readonly reason?: string
  readonly message?: string
  readonly details?: { readonly causes?: readonly Cause[] }
}

/** status: a Kubernetes Status object, from a reply or from an ERROR event of a watch. */
export function apiErrorOf(status: StatusBody, code = status.code ?? 500): ApiError {
  return new ApiError(code, status.reason ?? 'Unknown', status.message ?? `the control plane answered ${code}`, status.details?.causes)
}

async function refusalIn(reply: Response): Promise<ApiError> {
  const text = await reply.text().catch(() => '')
  try {
    return apiErrorOf(JSON.parse(text) as StatusBody, reply.status)
  } catch {
    return new ApiError(
      reply.status,
      'Unknown',
      `${reply.url} answered ${reply.status} ${text.slice(0, 200).trim()}: is it a Weft control plane?`,
    )
  }
}

const isAbort = (thrown: unknown): boolean => thrown instanceof Error && (thrown.name === 'AbortError' || thrown.name === 'TimeoutError')

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was reset',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the host name could not be looked up',
  ETIMEDOUT: 'no answer',
  EHOSTUNREACH: 'no way to that host',
  ENETUNREACH: 'no network',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself: give its root with --ca FILE',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate leads to a root that is not known here: give that with --ca FILE',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate leads to a root that is not known here: give that with --ca FILE',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate leads to a root that is not known here: give that with --ca FILE',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it speaks plain HTTP: call it by http://',
}

/** Node hides the reason in `cause`; a browser gives none. */
function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown
  const { code, message } = cause as { code?: unknown; message?: unknown }
  return (typeof code === 'string' ? words[code] : undefined) ?? (typeof message === 'string' && message !== '' ? message : 'no connection')
}
