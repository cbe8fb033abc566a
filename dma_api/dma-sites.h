/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-sites - where a driver's source calls the DMA API, for the lines of dma_debug.
 *
 * Each call of a function becomes that call with its file and line noted on the CPU for as
 * long as it lasts, so that calls in its arguments and in interrupt handlers nest. Only
 * what looks like a call is replaced: the functions keep their names and signatures, and
 * their addresses can be taken. The DMA API itself is built with DMA_API_INSIDE, without
 * this.
 */
#ifndef DMA_API_DMA_SITES_H
#define DMA_API_DMA_SITES_H

#ifdef __cplusplus
extern "C" {
#endif

struct dma_site {
    const char *file;
    int line;
    struct dma_site *outer;
    struct dma_site **innermost; /* Of the CPU that made the call; NULL: nobody asks. */
};

void dma_site_enter(struct dma_site *site, const char *file, int line);
void dma_site_leave(struct dma_site *site);

#ifdef __cplusplus
}
#endif

#ifndef DMA_API_INSIDE

#define DMA_SITE_NAMED(NAME, CALL)                                                         \
    __extension__({                                                                        \
        struct dma_site NAME __attribute__((cleanup(dma_site_leave)));                     \
        dma_site_enter(&NAME, __FILE__, __LINE__);                                         \
        CALL;                                                                              \
    })
#define DMA_SITE_COUNTED(COUNT, CALL) DMA_SITE_NAMED(dma_site_##COUNT, CALL)
#define DMA_SITE_NEXT(COUNT, CALL)    DMA_SITE_COUNTED(COUNT, CALL)
#define DMA_SITE(CALL)                DMA_SITE_NEXT(__COUNTER__, CALL)

/* clang-format off */
#define dma_map_phys(...)                DMA_SITE(dma_map_phys(__VA_ARGS__))
#define dma_unmap_phys(...)              DMA_SITE(dma_unmap_phys(__VA_ARGS__))
#define dma_map_page_attrs(...)          DMA_SITE(dma_map_page_attrs(__VA_ARGS__))
#define dma_unmap_page_attrs(...)        DMA_SITE(dma_unmap_page_attrs(__VA_ARGS__))
#define dma_map_single_attrs(...)        DMA_SITE(dma_map_single_attrs(__VA_ARGS__))
#define dma_unmap_single_attrs(...)      DMA_SITE(dma_unmap_single_attrs(__VA_ARGS__))
#define dma_map_resource(...)            DMA_SITE(dma_map_resource(__VA_ARGS__))
#define dma_unmap_resource(...)          DMA_SITE(dma_unmap_resource(__VA_ARGS__))
#define dma_sync_single_for_cpu(...)     DMA_SITE(dma_sync_single_for_cpu(__VA_ARGS__))
#define dma_sync_single_for_device(...)  DMA_SITE(dma_sync_single_for_device(__VA_ARGS__))
#define dma_sync_single_range_for_cpu(...)                                                 \
    DMA_SITE(dma_sync_single_range_for_cpu(__VA_ARGS__))
#define dma_sync_single_range_for_device(...)                                              \
    DMA_SITE(dma_sync_single_range_for_device(__VA_ARGS__))
#define dma_map_sg_attrs(...)            DMA_SITE(dma_map_sg_attrs(__VA_ARGS__))
#define dma_unmap_sg_attrs(...)          DMA_SITE(dma_unmap_sg_attrs(__VA_ARGS__))
#define dma_map_sgtable(...)             DMA_SITE(dma_map_sgtable(__VA_ARGS__))
#define dma_unmap_sgtable(...)           DMA_SITE(dma_unmap_sgtable(__VA_ARGS__))
#define dma_sync_sg_for_cpu(...)         DMA_SITE(dma_sync_sg_for_cpu(__VA_ARGS__))
#define dma_sync_sg_for_device(...)      DMA_SITE(dma_sync_sg_for_device(__VA_ARGS__))
#define dma_sync_sgtable_for_cpu(...)    DMA_SITE(dma_sync_sgtable_for_cpu(__VA_ARGS__))
#define dma_sync_sgtable_for_device(...) DMA_SITE(dma_sync_sgtable_for_device(__VA_ARGS__))
#define dma_alloc_attrs(...)             DMA_SITE(dma_alloc_attrs(__VA_ARGS__))
#define dma_free_attrs(...)              DMA_SITE(dma_free_attrs(__VA_ARGS__))
#define dma_alloc_coherent(...)          DMA_SITE(dma_alloc_coherent(__VA_ARGS__))
#define dma_free_coherent(...)           DMA_SITE(dma_free_coherent(__VA_ARGS__))
#define dma_alloc_wc(...)                DMA_SITE(dma_alloc_wc(__VA_ARGS__))
#define dma_free_wc(...)                 DMA_SITE(dma_free_wc(__VA_ARGS__))
#define dma_alloc_pages(...)             DMA_SITE(dma_alloc_pages(__VA_ARGS__))
#define dma_free_pages(...)              DMA_SITE(dma_free_pages(__VA_ARGS__))
#define dma_alloc_noncoherent(...)       DMA_SITE(dma_alloc_noncoherent(__VA_ARGS__))
#define dma_free_noncoherent(...)        DMA_SITE(dma_free_noncoherent(__VA_ARGS__))
#define dma_alloc_noncontiguous(...)     DMA_SITE(dma_alloc_noncontiguous(__VA_ARGS__))
#define dma_free_noncontiguous(...)      DMA_SITE(dma_free_noncontiguous(__VA_ARGS__))
#define dma_iova_try_alloc(...)          DMA_SITE(dma_iova_try_alloc(__VA_ARGS__))
#define dma_iova_free(...)               DMA_SITE(dma_iova_free(__VA_ARGS__))
#define dma_iova_link(...)               DMA_SITE(dma_iova_link(__VA_ARGS__))
#define dma_iova_sync(...)               DMA_SITE(dma_iova_sync(__VA_ARGS__))
#define dma_iova_unlink(...)             DMA_SITE(dma_iova_unlink(__VA_ARGS__))
#define dma_iova_destroy(...)            DMA_SITE(dma_iova_destroy(__VA_ARGS__))
/* clang-format on */

#endif

#endif
