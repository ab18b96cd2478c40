/** Many small requests, a few at a time. */

/** Results in the order of the items. The first rejection is the whole's. */
export async function mapLimited<T, R>(items: readonly T[], each: (item: T, at: number) => Promise<R>, limit = 8): Promise<R[]> {
  const results: R[] = Array.from({ length: items.length })
  let next = 0
  const work = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) results[at] = await each(items[at]!, at)
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work))
  return results
}
