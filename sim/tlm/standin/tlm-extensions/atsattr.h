// SPDX-License-Identifier: Apache-2.0
//
// What the tests have instead of libsystemctlm-soc: its attributes of ATS.
#ifndef SIM_TLM_STANDIN_ATSATTR_H
#define SIM_TLM_STANDIN_ATSATTR_H

#include <cstdint>
#include <tlm>

class atsattr_extension : public tlm::tlm_extension<atsattr_extension>
{
  public:
    enum {
        ATTR_EXEC      = 1,
        ATTR_READ      = 2,
        ATTR_WRITE     = 4,
        ATTR_PHYS_ADDR = 256,
        RESULT_OK      = 0,
        RESULT_ERROR   = 1,
    };
    std::uint64_t get_attributes() const
    {
        return attributes_;
    }
    void set_attributes(std::uint64_t a)
    {
        attributes_ = a;
    }
    std::uint64_t get_length() const
    {
        return length_;
    }
    void set_length(std::uint64_t l)
    {
        length_ = l;
    }
    std::uint32_t get_result() const
    {
        return result_;
    }
    void set_result(std::uint32_t r)
    {
        result_ = r;
    }
    tlm::tlm_extension_base *clone() const override
    {
        return new atsattr_extension(*this);
    }
    void copy_from(const tlm::tlm_extension_base &other) override
    {
        *this = static_cast<const atsattr_extension &>(other);
    }

  private:
    std::uint64_t attributes_ = 0, length_ = 0;
    std::uint32_t result_ = 0;
};

#endif
