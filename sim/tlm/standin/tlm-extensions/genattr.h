// SPDX-License-Identifier: Apache-2.0
//
// What the tests have instead of libsystemctlm-soc: of its generic attributes, the names
// that an IOMMU cares about.
#ifndef SIM_TLM_STANDIN_GENATTR_H
#define SIM_TLM_STANDIN_GENATTR_H

#include <cstdint>
#include <tlm>

class genattr_extension : public tlm::tlm_extension<genattr_extension>
{
  public:
    std::uint64_t get_master_id() const
    {
        return master_id_;
    }
    void set_master_id(std::uint64_t id = 0)
    {
        master_id_ = id;
    }
    bool get_secure() const
    {
        return secure_;
    }
    void set_secure(bool secure = true)
    {
        secure_ = secure;
    }
    tlm::tlm_extension_base *clone() const override
    {
        return new genattr_extension(*this);
    }
    void copy_from(const tlm::tlm_extension_base &other) override
    {
        *this = static_cast<const genattr_extension &>(other);
    }

  private:
    std::uint64_t master_id_ = 0;
    bool secure_             = true;
};

#endif
