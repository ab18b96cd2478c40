/** The mesh DNS of one workload: names of services get their virtual addresses, all else is asked of the host's own resolvers. */

import type { View } from '#model/view'
