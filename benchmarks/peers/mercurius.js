// Mercurius with graphql-jit, as one would set it up for speed: queries compiled at their second use, values of scalars not checked
// again, a pool of connections to every site. SITES: [{name, url, token}, …].
import Fastify from 'fastify'
import mercurius from 'mercurius'
import { GraphQLScalarType } from 'graphql'
import { Pool } from 'undici'

const sites = JSON.parse(process.env.SITES)
const pools = Object.fromEntries(sites.map(site => [site.name, new Pool(site.url, { connections: 64 })]))
const tokens = Object.fromEntries(sites.map(site => [site.name, site.token]))

const schema = `
  scalar Samples
  enum Scope { node socket memoryDomain core hwthread accelerator }
  input PageRequest { itemsPerPage: Int! page: Int! }
  type Query {
    jobs(page: PageRequest!, sites: [String!]): JobResultList!
    jobMetrics(id: ID!, metrics: [String!], scopes: [Scope!]): [NamedMetric!]!
  }
  type JobResultList { items: [Job!]! hasNextPage: Boolean! }
  type Job {
    id: ID! site: String! jobId: Int! user: String! project: String! cluster: String! subCluster: String! partition: String
    startTime: String! duration: Int! walltime: Int numNodes: Int! state: String! energy: Float! tags: [Tag!]! resources: [Resource!]!
    metrics(metrics: [String!], scopes: [Scope!]): [NamedMetric!]
  }
  type Tag { type: String! name: String! scope: String! }
  type Resource { hostname: String! hwthreads: [Int!] }
  type NamedMetric { name: String! scope: Scope! metric: Metric! }
  type Metric { unit: Unit timestep: Int! series: [Series!] }
  type Unit { prefix: String base: String! }
  type Series { hostname: String! id: String statistics: Statistics data: Samples! }
  type Statistics { avg: Float! min: Float! max: Float! }
`

async function ask (site, path) {
  const { statusCode, body } = await pools[site].request({ method: 'GET', path, headers: { 'x-auth-token': tokens[site] } })
  if (statusCode !== 200) throw new Error(`${site}: HTTP ${statusCode}`)
  return body.json()
}

async function newest (site, count) {
  const { jobs } = await ask(site, `/api/jobs/?items-per-page=${count}&page=1`)
  for (const job of jobs) {
    job.site = site
    job.dbId = job.id
    job.id = `${site}:${job.id}`
    job.start = job.startTime
    job.startTime = `${new Date(job.startTime * 1000).toISOString().slice(0, 19)}Z`
    job.state = job.jobState
    job.tags ??= []
  }
  return jobs
}

const order = (a, b) => b.start - a.start || (a.site < b.site ? -1 : a.site > b.site ? 1 : 0) ||
  (a.cluster < b.cluster ? -1 : a.cluster > b.cluster ? 1 : 0) || a.jobId - b.jobId

async function metricsOf (site, id, { metrics, scopes }) {
  const query = [...(metrics ?? []).map(name => `metric=${name}`), ...(scopes ?? []).map(scope => `scope=${scope}`)]
  const { data, error } = await ask(site, `/api/jobs/metrics/${id}?${query.join('&')}`)
  if (data === null) throw new Error(error.message)
  return data.jobMetrics
}

const resolvers = {
  Samples: new GraphQLScalarType({ name: 'Samples', serialize: samples => samples }),
  Query: {
    async jobs (_, { page: { itemsPerPage, page }, sites: names }) {
      const end = page * itemsPerPage
      const lists = await Promise.all((names ?? sites.map(site => site.name)).map(site => newest(site, end)))
      const found = lists.flat().sort(order)
      return { items: found.slice(end - itemsPerPage, end), hasNextPage: found.length > end }
    },
    jobMetrics: (_, { id, ...wanted }) => metricsOf(...id.split(':'), wanted)
  },
  Job: { metrics: (job, wanted) => metricsOf(job.site, job.dbId, wanted) }
}

const app = Fastify({ logger: false })
app.register(mercurius, {
  schema, resolvers, jit: 1, compilerOptions: { disableLeafSerialization: true, disablingCapturingStackErrors: true }
})
await app.listen({ port: 0, host: '127.0.0.1' })
console.log(`http://127.0.0.1:${app.server.address().port}`)
