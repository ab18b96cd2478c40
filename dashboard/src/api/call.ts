/** One request to the operator API, and its errors as people-readable values. */

/** What is wrong with one field: `spec.rules[0].backendRefs`. */
export type Cause = { readonly field: string; readonly message: string; readonly reason?: string }

/** status 0: nobody answered. */
export class ApiError extends Error {
  readonly status: number
  readonly reason: string
  readonly causes: readonly Cause[]
  constructor(status: number, reason: string, message: string, causes: readonly Cause[] = []) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.reason = reason
    this.causes = causes
  }
}

/** The API lives beside the page, whatever path both are served under. */
const here = new URL('./', document.baseURI)

export type Call = {
  readonly method?: string
  readonly body?: unknown
  readonly accept?: string
  readonly type?: string
  readonly signal?: AbortSignal
}

/** path: without a leading slash. Throws ApiError, also when the control plane is gone or silent for ten seconds. */
export async function call<T>(
  path: string,
  { method = 'GET', body, accept = 'application/json', type = 'application/json', signal }: Call = {},
): Promise<T> {
  const silence = AbortSignal.timeout(10_000)
  const response = await fetch(new URL(path, here), {
    method,
    headers: { accept, ...(body === undefined ? {} : { 'content-type': type }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: signal ? AbortSignal.any([signal, silence]) : silence,
  }).catch((thrown: unknown) => {
    if (signal?.aborted) throw thrown
    throw new ApiError(0, 'Unreachable', 'The control plane does not answer.')
  })
  const text = await response.text()
  const reply = parse(text)
  if (!response.ok) throw errorOf(response.status, reply, text)
  if (reply === undefined)
    throw new ApiError(
      response.status,
      'NotJson',
      `${path} answered with something that is not JSON. Is this page served by the control plane?`,
    )
  return reply as T
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A Kubernetes Status where the server sent one, else the bare status code. */
function errorOf(status: number, reply: unknown, text: string): ApiError {
  const said = (typeof reply === 'object' && reply !== null ? reply : {}) as {
    message?: string
    reason?: string
    details?: { causes?: { field?: string; message?: string; reason?: string }[] }
  }
  const causes = (said.details?.causes ?? []).map(({ field = '', message = '', reason = '' }) => ({ field, message, reason }))
  return new ApiError(
    status,
    said.reason ?? `HTTP ${status}`,
    said.message ?? (text.slice(0, 300) || `The control plane answered ${status}.`),
    causes,
  )
}
